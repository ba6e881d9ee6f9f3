"""Whatever bytes come: no crash, and the counters add up."""
