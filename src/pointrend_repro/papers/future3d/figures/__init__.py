"""The report's figures; `config/papers/3dfuture/figures.yaml` names them."""
