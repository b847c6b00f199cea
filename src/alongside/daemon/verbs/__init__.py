"""The verbs that change something, a verb a file: observe, plan, carry out, say what is so now."""
