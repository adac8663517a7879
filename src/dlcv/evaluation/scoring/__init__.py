"""From the answers of nodes and the truth to an `Evaluation`: what each number is made of."""
