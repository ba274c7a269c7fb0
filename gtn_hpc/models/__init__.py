"""Networks: learners, architectures of the spaces, the generator and the critic; what they are made of."""
