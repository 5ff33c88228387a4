// The game of the first chapter: the same networks, losses and Adam as the
// library's. From the same weights and minibatches it takes the same course.

// Random numbers from a seed, by Marsaglia's xorshift
class Random {
  constructor(seed) {
    this.state = Math.imul(seed + 1, 0x9e3779b9) || 1;
    for (let i = 0; i < 20; i++) this.uniform(); // seeds that are near part
  }

  uniform() {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return ((this.state >>> 0) + 0.5) / 2 ** 32; // never 0, never 1
  }

  // Two normal ones, by Box and Muller
  pair() {
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  }

  pairs(n) {
    return Array.from({ length: n }, () => this.pair());
  }
}

// Dense layers with tanh between them, and what Adam knows about them. The
// parameters are Gluon's: for each layer weights, row by row, and biases.
class Network {
  constructor(sizes, random) {
    this.sizes = sizes;
    this.params = sizes.slice(1).flatMap((n, i) => [
      Array.from({ length: n * sizes[i] }, () => 0.02 * random.pair()[0]),
      Array(n).fill(0),
    ]);
    [this.mean, this.square, this.steps] = [this.zeros(), this.zeros(), 0];
  }

  zeros() {
    return this.params.map((array) => Array(array.length).fill(0));
  }

  // The values of all layers for one example, from the input to the output
  layers(x) {
    const values = [x];
    for (let i = 1; i < this.sizes.length; i++) {
      const [W, b] = this.params.slice(2 * i - 2, 2 * i);
      const below = values[i - 1];
      const n = below.length;
      values.push(b.map((sum, j) => {
        for (let k = 0; k < n; k++) sum += W[j * n + k] * below[k];
        return i < this.sizes.length - 1 ? Math.tanh(sum) : sum;
      }));
    }
    return values;
  }

  output(x) {
    return this.layers(x).at(-1);
  }

  // From a loss's slope with respect to the output, that with respect to the
  // input; those with respect to the parameters are added to `sums`, if given.
  backward(values, slope, sums) {
    for (let i = this.sizes.length - 1; i > 0; i--) {
      const x = values[i - 1];
      const W = this.params[2 * i - 2];
      const below = Array(x.length).fill(0);
      slope.forEach((s, j) => {
        for (let k = 0; k < x.length; k++) {
          below[k] += s * W[j * x.length + k];
          if (sums) sums[2 * i - 2][j * x.length + k] += s * x[k];
        }
        if (sums) sums[2 * i - 1][j] += s;
      });
      slope = i > 1 ? below.map((s, k) => s * (1 - x[k] ** 2)) : below;
    }
    return slope;
  }

  // A step of Adam, with gradients that were summed over n examples
  step(sums, n, lr, beta1, beta2 = 0.999, epsilon = 1e-8) {
    this.steps += 1;
    lr *= Math.sqrt(1 - beta2 ** this.steps) / (1 - beta1 ** this.steps);
    this.params.forEach((array, i) => array.forEach((_, j) => {
      const g = sums[i][j] / n;
      const m = beta1 * this.mean[i][j] + (1 - beta1) * g;
      const v = beta2 * this.square[i][j] + (1 - beta2) * g * g;
      [this.mean[i][j], this.square[i][j]] = [m, v];
      array[j] -= lr * m / (Math.sqrt(v) + epsilon);
    }));
  }
}

const sigmoid = (o) => 1 / (1 + Math.exp(-o));
// -log(sigmoid(o)), without overflow
const surprise = (o) => Math.max(-o, 0) + Math.log1p(Math.exp(-Math.abs(o)));
const average = (numbers) => numbers.reduce((s, x) => s + x) / numbers.length;
// 2 x 2 matrices, row by row
const trace = ([a, , , d]) => a + d;
const det = ([a, b, c, d]) => a * d - b * c;
const transposed = ([a, b, c, d]) => [a, c, b, d];
const times = ([a, b, c, d], [e, f, g, h]) =>
  [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];

// `truth` has A and b: points are A^T eps + b. `settings` has widths, lr_D,
// lr_G, beta1, batch_size and saturating; all but the widths may be changed.
class Game {
  constructor(truth, settings, seed) {
    [this.settings, this.random] = [settings, new Random(seed)];
    const [[a, b], [c, d]] = truth.A;
    this.truth = { mean: truth.b, cov: times([a, c, b, d], [a, b, c, d]) };
    this.data = this.random.pairs(1000).map(([x, y]) =>
      [a * x + c * y + truth.b[0], b * x + d * y + truth.b[1]]);
    this.D = new Network([2, ...settings.widths, 1], this.random);
    this.G = new Network([2, 2], this.random);
    this.order = []; // what is left of this epoch
  }

  // The next minibatch: each epoch the points come in another order.
  draw() {
    const n = this.settings.batch_size;
    if (this.order.length < n) {
      this.order = this.data.map((x) => [this.random.uniform(), x])
        .sort(([a], [b]) => a - b).map(([, x]) => x);
    }
    return [this.order.splice(0, n), this.random.pairs(n)];
  }

  // Losses are means over the examples.
  learnD(X, Z) {
    const sums = this.D.zeros();
    const learn = (x, isReal) => {
      const values = this.D.layers(x);
      const [o] = values.at(-1);
      this.D.backward(values, [(sigmoid(o) - isReal) / 2], sums);
      return surprise(isReal ? o : -o) / 2;
    };
    const losses = X.map((x, i) =>
      learn(x, 1) + learn(this.G.output(Z[i]), 0));
    this.D.step(sums, X.length, this.settings.lr_D, this.settings.beta1);
    return average(losses);
  }

  learnG(Z) {
    const sums = this.G.zeros();
    const losses = Z.map((z) => {
      const values = this.G.layers(z);
      const [loss, slope] = this.lesson(values.at(-1));
      this.G.backward(values, slope, sums);
      return loss;
    });
    this.G.step(sums, Z.length, this.settings.lr_G, this.settings.beta1);
    return average(losses);
  }

  // What a fake costs the generator, and the slope with respect to the fake
  lesson(fake) {
    const { saturating } = this.settings;
    const values = this.D.layers(fake);
    const [o] = values.at(-1);
    const slope = saturating ? -sigmoid(o) : sigmoid(o) - 1;
    const loss = saturating ? -surprise(-o) : surprise(o);
    return [loss, this.D.backward(values, [slope])];
  }

  // Mean and covariance of what the generator makes
  made() {
    const [W, b] = this.G.params;
    return { mean: b, cov: times(W, transposed(W)) };
  }

  // The Fréchet distance, squared, of a Gaussian from the truth
  distance({ mean, cov } = this.made()) {
    const product = times(cov, this.truth.cov);
    const rootDet = Math.sqrt(Math.max(det(product), 0));
    const root = Math.sqrt(trace(product) + 2 * rootDet);
    const [x, y] = mean.map((m, i) => m - this.truth.mean[i]);
    const spread = trace(cov) + trace(this.truth.cov) - 2 * root;
    return Math.max(x * x + y * y + spread, 0);
  }

  // That of the Gaussian with the data's mean and covariance
  samplingError() {
    const mean = [0, 1].map((i) => average(this.data.map((x) => x[i])));
    const cov = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([i, j]) => average(
      this.data.map((x) => (x[i] - mean[i]) * (x[j] - mean[j]))));
    return this.distance({ mean, cov });
  }

  // The share of D's last hidden layer that is beyond 0.97 at some points
  saturated(points) {
    return average(points.flatMap((x) =>
      this.D.layers(x).at(-2).map((h) => Math.abs(h) > 0.97)));
  }
}
