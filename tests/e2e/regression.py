"""What must be believed of weights after a list of samples: logistic regression with a full covariance, and linear
regression, as plainly as they can be written."""

import math

# The logistic function as a mixture of normal distribution functions: Monahan and Stefanski (1992), k = 8.
SHARES = (
    0.003246343272134,
    0.051517477033972,
    0.195077912673858,
    0.315569823632818,
    0.274149576158423,
    0.131076880695470,
    0.027912418727972,
    0.001449567805354,
)
SLOPES = (
    1.365340806296348,
    1.059523971016916,
    0.830791313765644,
    0.650732166639391,
    0.508135425366489,
    0.396313345166341,
    0.308904252267995,
    0.238212616409306,
)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def moment_match(mean, variance, positive):
    """alpha and beta: the mean becomes mean + variance alpha, the variance variance - variance^2 beta."""
    sign = 1 if positive else -1
    z = first = second = 0
    for share, slope in zip(SHARES, SLOPES):
        k = slope / math.sqrt(1 + slope * slope * variance)
        t = k * sign * mean
        density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
        z += share * (1 + math.erf(t / math.sqrt(2))) / 2
        first += share * k * density
        second -= share * k * k * t * density
    ratio = first / z
    return sign * ratio, ratio * ratio - second / z


class Logistic:
    """The belief about the weights: a normal. The intercept is the last one."""

    def __init__(self, means, sds):
        self.mean = list(means)
        self.covariance = [[sd * sd if i == j else 0.0 for j in range(len(sds))] for i, sd in enumerate(sds)]

    def _image(self, x):
        return [dot(row, x) for row in self.covariance]

    def learn(self, x, positive):
        x = [*x, 1.0]
        u = self._image(x)
        alpha, beta = moment_match(dot(self.mean, x), dot(u, x), positive)
        self.mean = [m + alpha * ui for m, ui in zip(self.mean, u)]
        self.covariance = [[s - beta * ui * uj for s, uj in zip(row, u)] for row, ui in zip(self.covariance, u)]

    def correct(self, x):
        """What was learned as a negative is a positive."""
        step = self._image([*x, 1.0])
        self.mean = [m + s for m, s in zip(self.mean, step)]

    def values(self):
        return [*self.mean, *(self.covariance[i][j] for i in range(len(self.mean)) for j in range(i + 1))]


class Linear:
    """Sums over the samples; a weight is off its prior mean by what they explain. Prior means are 0."""

    def __init__(self, sds, noise_sd, noise_samples=4):
        self.noise_sd, self.noise_samples = noise_sd, noise_samples
        n = len(sds)
        self.precision = [[(noise_sd / sds[i]) ** 2 if i == j else 0.0 for j in range(n)] for i in range(n)]
        self.shift, self.squares, self.samples = [0.0] * n, 0.0, 0

    def learn(self, x, reward):
        x = [*x, 1.0]
        self.precision = [[p + xi * xj for p, xj in zip(row, x)] for row, xi in zip(self.precision, x)]
        self._count(x, reward)
        self.samples += 1

    def _count(self, x, reward):
        self.shift = [s + reward * xi for s, xi in zip(self.shift, x)]
        self.squares += reward * reward

    def correct(self, x):
        """What was learned as 0 is 1."""
        self._count([*x, 1.0], 1)

    def values(self):
        inverse = invert(self.precision)
        mean = [dot(row, self.shift) for row in inverse]
        guessed = self.noise_samples * self.noise_sd**2
        noise = (guessed + self.squares - dot(self.shift, mean)) / (self.noise_samples + self.samples - 2)
        n = len(mean)
        return [*mean, *(noise * inverse[i][j] for i in range(n) for j in range(i + 1)), noise]


def invert(matrix):
    """Gauss and Jordan, for what is symmetric and positive definite."""
    n = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(n))] for i, row in enumerate(matrix)]
    for i in range(n):
        pivot = rows[i][i]
        rows[i] = [v / pivot for v in rows[i]]
        for k in range(n):
            if k != i:
                factor = rows[k][i]
                rows[k] = [v - factor * w for v, w in zip(rows[k], rows[i])]
    return [row[n:] for row in rows]
