"""The page to look at: `weftrun ui` serves the gateway with it, for whoever has the printed address."""
