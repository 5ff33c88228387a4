// What one sees of the game, and presses. Asks the network for nothing.
const BLUE = [31, 119, 180]; // the real points, and where D says "real"
const ORANGE = [255, 127, 14];
const [LEFT, RIGHT, BOTTOM, TOP] = [-2.5, 4.5, -4, 8];

// A canvas's brush, as sharp as the screen and with the page's ink, its width
// and its height
function brushFor(canvas) {
  const scale = window.devicePixelRatio;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const brush = canvas.getContext('2d');
  brush.scale(scale, scale);
  brush.font = '12px sans-serif';
  brush.strokeStyle = brush.fillStyle = getComputedStyle(canvas).color;
  brush.line = (points, color, width, dashes = []) => {
    brush.save();
    if (color) brush.strokeStyle = `rgb(${color})`;
    brush.lineWidth = width;
    brush.setLineDash(dashes);
    brush.beginPath();
    points.forEach((point) => brush.lineTo(...point));
    brush.stroke();
    brush.restore();
  };
  return [brush, canvas.clientWidth, canvas.clientHeight];
}

function drawField(canvas, game, fakes) {
  const [brush, width, height] = brushFor(canvas);
  const place = ([x, y]) => [(x - LEFT) / (RIGHT - LEFT) * width,
    (TOP - y) / (TOP - BOTTOM) * height];

  // What D says, at the centers of n times n cells
  const n = 50;
  const small = document.createElement('canvas');
  small.width = small.height = n;
  const field = new ImageData(n, n);
  for (let i = 0; i < n * n; i++) {
    const x = LEFT + (i % n + 0.5) / n * (RIGHT - LEFT);
    const y = TOP - (Math.floor(i / n) + 0.5) / n * (TOP - BOTTOM);
    const p = sigmoid(game.D.output([x, y])[0]);
    const color = p > 0.5 ? BLUE : ORANGE;
    field.data.set([...color, 300 * Math.abs(p - 0.5)], 4 * i);
  }
  small.getContext('2d').putImageData(field, 0, 0);
  brush.drawImage(small, 0, 0, width, height);

  const draw = (points, { mean, cov: [a, b, , d] }, color, dashes) => {
    brush.fillStyle = `rgb(${color})`;
    for (const x of points) brush.fillRect(...place(x), 2.5, 2.5);
    // Two standard deviations out, by a root of the covariance (Cholesky's)
    const l = Math.sqrt(a);
    const m = l && b / l;
    const r = Math.sqrt(Math.max(d - m * m, 0));
    brush.line(Array.from({ length: 64 }, (_, i) => {
      const [c, s] = [2 * Math.cos(i / 10), 2 * Math.sin(i / 10)];
      return place([mean[0] + l * c, mean[1] + m * c + r * s]);
    }), color, 2.5, dashes);
  };
  draw(game.data.slice(0, 200), game.truth, BLUE, []);
  draw(fakes, game.made(), ORANGE, [6, 4]);

  // Where thirty fakes are sent: down their loss, as far as it is steep
  for (const fake of fakes.slice(0, 30)) {
    const [, slope] = game.lesson(fake);
    const [from, to] = [place(fake), place(fake.map((x, i) => x - slope[i]))];
    const [dx, dy] = to.map((x, i) => 0.25 * (x - from[i]));
    const barbs = [1, -1].map((side) =>
      [to[0] - dx + side * dy / 2, to[1] - dy - side * dx / 2]);
    brush.line([from, to, barbs[0], to, barbs[1]], null, 1.2);
  }
}

// Curves over the minibatches, as means of at most 150 stretches of them. A
// dashed line with a name shows the level that they are to be compared with.
function drawCurves(canvas, curves, low, high, level, name) {
  const [brush, width, height] = brushFor(canvas);
  const place = (share, y) => [share * width,
    3 + (height - 6) * (high - Math.max(y, low)) / (high - low)];
  brush.line([place(0, level), place(1, level)], null, 1, [3, 3]);
  brush.fillText(name, 4, place(0, level)[1] + 13);
  for (const [values, color] of curves) {
    const n = Math.ceil(values.length / 150);
    const firsts = values.map((_, i) => i).filter((i) => i % n === 0);
    brush.line(firsts.map((i) => place(i / values.length,
      average(values.slice(i, i + n)))), color, 1.5);
  }
}

function build(root) {
  const { truth, presets, markup } = JSON.parse(root.dataset.rules);
  delete root.dataset.rules; // whoever comes later leaves this one alone
  root.innerHTML = markup;
  const form = root.querySelector('form');
  const [field, farness, losses] = root.querySelectorAll('canvas');
  const settings = { saturating: false };
  let game, latent, history, X, Z, playing, last, next;
  const tell = (name, text) => {
    const output = form.querySelector(`[name=${name}] + output`);
    if (output) output.value = text;
  };
  // Controls say JSON, but those of learning rates logarithms.
  const read = ({ name, value }) => (name.startsWith('lr')
    ? +(10 ** value).toPrecision(2) : JSON.parse(value));
  const set = (name, value) => {
    const [control, text] = [form[name], JSON.stringify(value)];
    control.value = name.startsWith('lr') ? Math.log10(value) : text;
    if (control.selectedIndex === -1) {
      control.add(new Option(value, text, true, true));
    }
    tell(name, settings[name] = value);
  };

  const reset = () => {
    const seed = form.seed.valueAsNumber || 0;
    game = new Game(truth, settings, seed);
    latent = new Random(seed + 99999).pairs(200); // of the fakes to be seen
    [Z, history] = [null, { D: [], G: [], distance: [] }];
  };

  // One network's step; those of a minibatch see the same latent vectors.
  const learn = (who) => {
    if (who === 'D' || !Z) [X, Z] = game.draw();
    history[who].push(who === 'D' ? game.learnD(X, Z) : game.learnG(Z));
    if (who === 'G') {
      history.distance.push(Math.log10(game.distance()));
      Z = null;
    }
    for (const name of 'DG') form[name].classList.toggle('now', name === who);
  };

  const show = () => {
    const fakes = latent.map((z) => game.G.output(z));
    drawField(field, game, fakes);
    const [D, G, distances] = ['D', 'G', 'distance'].map((name) =>
      history[name].slice(-5000));
    drawCurves(farness, [[distances, ORANGE]], -3, 1.5,
      Math.log10(game.samplingError()), 'sampling error of the data');
    drawCurves(losses, [[D, BLUE], [G, ORANGE]], 0, 2, Math.log(2), 'log 2');
    const [distance, share] = [game.distance(), game.saturated(fakes)];
    form.querySelector('[name=distance]').value =
      Math.max(Math.log10(distance) + 3, 0);
    form.querySelector('[name=saturated]').value = share;
    tell('distance', distance.toPrecision(2));
    tell('saturated', `${Math.round(100 * share)} %`);
    for (const [name, list] of [['loss_D', D], ['loss_G', G]]) {
      form[name].value = list.length && average(list.slice(-125)).toFixed(3);
    }
    form.minibatch.value = game.G.steps;
    form.play.textContent = playing ? '❚❚ pause' : '▶ play';
  };

  const frame = (now) => {
    if (!playing || !root.isConnected) return;
    const speed = +form.speed.value;
    if (speed === 0 && now - last > 700) {
      learn(Z ? 'G' : 'D');
      last = now;
    }
    for (let i = 0; i < speed; i++) ['D', 'G'].forEach(learn);
    show();
    next = requestAnimationFrame(frame);
  };

  const whenClicked = (button, act) => {
    button.onclick = () => { act(); show(); };
  };
  whenClicked(form.play, () => {
    [playing, last] = [!playing, 0];
    cancelAnimationFrame(next); // or two would play after a quick pause
    next = requestAnimationFrame(frame);
  });
  for (const who of 'DG') whenClicked(form[who], () => learn(who));
  whenClicked(form.reset, reset);
  for (const [name, preset] of Object.entries(presets)) {
    const button = document.createElement('button');
    [button.type, button.textContent] = ['button', name];
    whenClicked(button, () => {
      Object.entries(preset).forEach(([key, value]) => set(key, value));
      reset();
    });
    form.querySelector('.presets').append(button);
  }
  form.oninput = ({ target }) => {
    if (target.name in settings) set(target.name, read(target));
    if (['widths', 'seed'].includes(target.name)) reset();
    show();
  };
  form.onsubmit = () => false;
  form.querySelector('.presets button').click();
  new ResizeObserver(show).observe(field);
  // A page that turns dark has another ink.
  [document.documentElement, document.body].forEach((element) =>
    new MutationObserver(show).observe(element, { attributes: true }));
}

for (const root of document.querySelectorAll('.gan-demo[data-rules]')) {
  build(root);
}
