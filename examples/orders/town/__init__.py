"""Everything around the shop that the story needs: its processes, customers and accountants."""
