"""The pure core: readings in, alerts out.

No clock, file, socket, thread, log or random number lives here; time comes in as integer nanoseconds, the
model as an object with `score` and `explain`. Live, replayed and offline data take the same way through it:

    payload -> decode -> Readings -> align -> Row -> health -> window -> Window -> score -> threshold -> alert
"""
