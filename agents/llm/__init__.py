"""Language-model agents and the engines behind them."""
