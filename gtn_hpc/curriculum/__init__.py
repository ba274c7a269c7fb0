"""What the teacher shows, in which order and with which inner rate: learned, distilled, real, or from a file."""
