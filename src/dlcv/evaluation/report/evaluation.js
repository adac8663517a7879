'use strict';
// What the page can do beyond being read: read-outs, zoom and legends of plots, large pictures,
// a command to copy. It adds its own controls, so that a page without script shows none.
// All text goes in as text, never as markup.

const SIZE = 10000;  // units of a drawing, as in plots.py
const NEAR = 1e-9;

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

const draw = (name, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// ---------------------------------------------------------------------------------------- ticks

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= least * (1 - NEAR));
}

function numberText(value, step) {
  const text = step < 1e-4 || Math.abs(value) >= 1e7
    ? String(Number(value.toPrecision(6)))
    : value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + NEAR)));
  return text.replace('-', '\u2212');
}

function ticks(low, high, count) {
  const step = roundStep((high - low) / count);
  const found = [];
  for (let i = Math.ceil(low / step - NEAR); i <= Math.floor(high / step + NEAR); i++) {
    found.push({place: (i * step - low) / (high - low) * 100, text: numberText(i * step, step)});
  }
  return found;
}

// ---------------------------------------------------------------------------------------- plots

class Plot {
  constructor(figure) {
    this.figure = figure;
    this.axes = figure.querySelector('.axes');
    this.lines = figure.querySelector('.lines');
    this.equal = figure.classList.contains('equal');
    this.x = figure.dataset.x.split(' ').map(Number);
    this.y = figure.dataset.y.split(' ').map(Number);
    this.legend = [...figure.querySelectorAll('.legend li')];
    this.series = [...this.lines.querySelectorAll('path')].map((path, i) => ({
      path, points: pointsOf(path), name: this.legend[i].textContent,
    }));
    this.view = {left: 0, top: 0, right: SIZE, bottom: SIZE};
    this.addControls();
  }

  addControls() {
    this.cursor = draw('g', {class: 'cursor', 'aria-hidden': 'true'});
    this.axes.append(this.cursor);
    this.readout = make('div', {className: 'readout', hidden: true});
    this.reset = make('button', {
      className: 'reset', type: 'button', textContent: 'Reset zoom', hidden: true,
      onclick: () => this.show({left: 0, top: 0, right: SIZE, bottom: SIZE}),
    });
    this.figure.append(this.readout, this.reset);
    this.legend.forEach((item, i) => this.addToggle(item, this.series[i]));
    this.axes.addEventListener('pointerdown', (event) => this.grab(event));
    this.axes.addEventListener('pointermove', (event) => this.move(event));
    this.axes.addEventListener('pointerup', () => this.release());
    this.axes.addEventListener('pointerleave', () => this.leave());
    this.axes.addEventListener('pointercancel', () => this.leave());
    this.axes.addEventListener('dblclick', () => this.reset.click());
  }

  addToggle(item, series) {
    const button = make('button', {type: 'button', title: 'Hide or show'}, ...item.childNodes);
    button.setAttribute('aria-pressed', 'true');
    button.onclick = () => {
      series.hidden = !series.hidden;
      series.path.style.display = series.hidden ? 'none' : '';
      button.setAttribute('aria-pressed', String(!series.hidden));
    };
    item.append(button);
  }

  // Where an event is, in units of the drawing.
  at(event) {
    const box = this.axes.getBoundingClientRect();
    const {left, top, right, bottom} = this.view;
    return {
      u: left + clamp((event.clientX - box.left) / box.width, 0, 1) * (right - left),
      v: top + clamp((event.clientY - box.top) / box.height, 0, 1) * (bottom - top),
    };
  }

  place(u, v) {
    const {left, top, right, bottom} = this.view;
    return [(u - left) / (right - left) * 100, (v - top) / (bottom - top) * 100];
  }

  valueX(u) { return this.x[0] + u / SIZE * (this.x[1] - this.x[0]); }

  valueY(v) { return this.y[1] - v / SIZE * (this.y[1] - this.y[0]); }

  grab(event) {
    if (event.button !== 0) return;
    this.start = this.at(event);
    try { this.axes.setPointerCapture(event.pointerId); } catch { /* it is gone already */ }
  }

  move(event) {
    const now = this.at(event);
    if (this.start && this.frame(this.start, now)) return;
    this.read(now);
  }

  // Show what a drag has chosen; a small one is a click.
  frame(start, now) {
    const [a, b] = [this.place(start.u, start.v), this.place(now.u, now.v)];
    this.chosen = null;
    if (Math.abs(a[0] - b[0]) < 2 && !(this.equal && Math.abs(a[1] - b[1]) > 2)) return false;
    const box = this.equal ? this.fit(start, now)
      : {left: Math.min(start.u, now.u), right: Math.max(start.u, now.u)};
    this.chosen = this.equal ? box : {...box, ...this.rangeOf(box.left, box.right)};
    const corner = this.place(box.left, box.top ?? this.view.top);
    const end = this.place(box.right, box.bottom ?? this.view.bottom);
    this.readout.hidden = true;
    this.cursor.replaceChildren(draw('rect', {
      class: 'chosen', x: `${corner[0]}%`, y: `${corner[1]}%`,
      width: `${end[0] - corner[0]}%`, height: `${end[1] - corner[1]}%`,
    }));
    return true;
  }

  // A box around two corners that keeps the shape of the drawing, so that axes stay equal.
  fit(a, b) {
    const half = Math.max(Math.abs(a.u - b.u), Math.abs(a.v - b.v), SIZE / 1000) / 2;
    const [u, v] = [(a.u + b.u) / 2, (a.v + b.v) / 2];
    return {left: u - half, right: u + half, top: v - half, bottom: v + half};
  }

  // What lines reach vertically between two places, with some room around.
  rangeOf(left, right) {
    const inside = this.series.filter((s) => !s.hidden).flatMap((s) => s.points)
      .filter(([u]) => u >= left && u <= right).map(([, v]) => v);
    if (inside.length < 2) return {top: this.view.top, bottom: this.view.bottom};
    const [top, bottom] = inside.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [SIZE, 0]);
    const room = Math.max((bottom - top) * 0.06, SIZE / 1000);
    return {top: top - room, bottom: bottom + room};
  }

  release() {
    if (this.chosen) this.show(this.chosen);
    this.start = this.chosen = null;
  }

  leave() {
    this.start = this.chosen = null;
    this.readout.hidden = true;
    this.cursor.replaceChildren();
  }

  show(view) {
    this.view = view;
    const {left, top, right, bottom} = view;
    this.lines.setAttribute('viewBox', `${left} ${top} ${right - left} ${bottom - top}`);
    this.retick('x', ticks(this.valueX(left), this.valueX(right), 6));
    this.retick('y', ticks(this.valueY(bottom), this.valueY(top), 5));
    this.reset.hidden = right - left === SIZE && bottom - top === SIZE;
    this.leave();
  }

  retick(axis, found) {
    const parts = found.flatMap(({place, text}) => {
      const at = `${axis === 'x' ? place : 100 - place}%`;
      const [line, label] = axis === 'x'
        ? [{x1: at, x2: at, y1: 0, y2: '100%'}, {x: at, y: '100%', dy: 18}]
        : [{x1: 0, x2: '100%', y1: at, y2: at}, {x: 0, y: at, dx: -8, dy: 4}];
      const words = draw('text', label);
      words.textContent = text;
      return [draw('line', line), words];
    });
    this.figure.querySelector(`.${axis}.ticks`).replaceChildren(...parts);
  }

  // Say the values of the point of each line that is nearest: along x, or on a map in both.
  read({u, v}) {
    const far = ([a, b]) => this.equal ? (a - u) ** 2 + (b - v) ** 2 : Math.abs(a - u);
    const {left, top, right, bottom} = this.view;
    const found = this.series.filter((s) => !s.hidden).map((series) => ({
      series,
      point: series.points.filter(([a, b]) => a >= left && a <= right && b >= top && b <= bottom)
        .reduce((best, p) => best && far(best) <= far(p) ? best : p, null),
    })).filter(({point}) => point);
    this.readout.hidden = !found.length;
    this.cursor.replaceChildren();
    if (!found.length) return;
    const [x, y] = this.place(u, v);
    const cross = [draw('line', {x1: `${x}%`, x2: `${x}%`, y1: 0, y2: '100%'})];
    if (this.equal) cross.push(draw('line', {x1: 0, x2: '100%', y1: `${y}%`, y2: `${y}%`}));
    this.cursor.append(...cross, ...found.map(({series, point}) => this.dot(series, point)));
    this.readout.replaceChildren(...found.map(({series, point}) => make(
      'div', {}, make('b', {textContent: series.name}), ` ${this.say(point)}`)));
    this.putReadout(x, y);
  }

  dot(series, point) {
    const [x, y] = this.place(...point);
    const circle = draw('circle', {cx: `${x}%`, cy: `${y}%`, r: 4.5});
    circle.style.fill = getComputedStyle(series.path).stroke;
    return circle;
  }

  say([u, v]) {
    const {left, top, right, bottom} = this.view;
    const x = numberText(this.valueX(u), (this.x[1] - this.x[0]) * (right - left) / SIZE / 1000);
    const y = numberText(this.valueY(v), (this.y[1] - this.y[0]) * (bottom - top) / SIZE / 1000);
    return `${x}, ${y}`;
  }

  // Beside the cursor, on the side where there is room.
  putReadout(x, y) {
    const [axes, figure] = [this.axes, this.figure].map((e) => e.getBoundingClientRect());
    const across = axes.left - figure.left + axes.width * x / 100;
    const width = this.readout.offsetWidth;
    const left = x < 50 ? across + 14 : across - width - 14;
    this.readout.style.left = `${clamp(left, 0, Math.max(0, figure.width - width))}px`;
    this.readout.style.top = `${axes.top - figure.top + axes.height * y / 100 * 0.7}px`;
  }
}

function pointsOf(path) {
  return [...path.getAttribute('d').matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)]
    .map((match) => [Number(match[1]), Number(match[2])]);
}

// ------------------------------------------------------------------------------------- pictures

class Gallery {
  constructor(pictures) {
    this.pictures = pictures;
    this.image = make('img', {onclick: () => this.dialog.close()});
    this.caption = make('p');
    this.dialog = make('dialog', {}, this.image, this.caption);
    this.dialog.addEventListener('keydown', (event) => this.turn(event));
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    document.body.append(this.dialog);
    pictures.forEach((picture, i) => this.open(picture, i));
  }

  open(picture, i) {
    picture.tabIndex = 0;
    picture.setAttribute('role', 'button');
    picture.onclick = () => {
      this.show(i);
      this.dialog.showModal();
    };
    picture.onkeydown = (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      picture.onclick();
    };
  }

  show(i) {
    this.now = i;
    this.image.src = this.pictures[i].src;
    this.image.alt = this.caption.textContent = this.pictures[i].alt;
  }

  turn(event) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step) this.show((this.now + step + this.pictures.length) % this.pictures.length);
  }
}

// ------------------------------------------------------------------------------------ the whole

function addCopy(box) {
  const button = make('button', {className: 'copy', type: 'button', textContent: 'Copy'});
  button.onclick = async () => {
    const text = box.querySelector('code').textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // a file has no clipboard in some browsers
      getSelection().selectAllChildren(box.querySelector('code'));
      document.execCommand('copy');
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  };
  box.append(button);
}

document.documentElement.classList.add('ready');
document.querySelectorAll('.command').forEach(addCopy);
document.querySelectorAll('figure.plot').forEach((figure) => {
  if (figure.querySelector('.axes')) new Plot(figure);
});
new Gallery([...document.querySelectorAll('.pictures img')]);
addEventListener('beforeprint', () => {
  document.querySelectorAll('details').forEach((details) => { details.open = true; });
});
