"""The bus: typed messages on topics, delivered to groups of consumers, settled exactly once."""

from messaging._origin import check_origin

check_origin(__name__, __file__)
