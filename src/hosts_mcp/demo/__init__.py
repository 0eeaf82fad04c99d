"""The overnight story: one box over several nights, sent as a real collector and SDKs would send it."""
