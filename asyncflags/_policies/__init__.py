"""Pure decisions: values in, values out. No clock, no socket, no await."""
