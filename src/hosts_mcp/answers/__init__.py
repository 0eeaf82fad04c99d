"""Floor 5: one module per question: result model, computation, text."""
