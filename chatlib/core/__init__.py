"""What the apps stand on. Nothing here imports anything else of this project's."""
