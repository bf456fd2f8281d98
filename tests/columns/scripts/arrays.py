import numpy as np

weights = np.load("data/weights.npy")
points = np.loadtxt("data/points.txt")
np.save("data/scaled.npy", points * weights.mean())
np.savez_compressed("data/both.npz", weights=weights, points=points)
np.savetxt("data/points.csv", np.load("data/both.npz")["points"], delimiter=",")
