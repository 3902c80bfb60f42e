"""The game: its state, the players, the tasks that it is made of, the schedules that order them, and the loop."""
