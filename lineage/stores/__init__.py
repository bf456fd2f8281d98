"""Where records rest: one protocol, interchangeable stores."""
