// Takes the place of each moving picture that it finds, and lets one hold it.
// Runs in a page and in a notebook; asks the network for nothing.
for (const film of document.querySelectorAll('figure.film[data-film]')) {
  const { frames, captions, seconds } = JSON.parse(film.dataset.film);
  delete film.dataset.film; // whoever comes later leaves this one alone
  const img = film.querySelector('img');
  const caption = film.querySelector('figcaption');
  const pictures = frames.map((src) => Object.assign(new Image(), { src }));
  const last = frames.length - 1;
  let shown = 0;
  let timer = null;

  const controls = document.createElement('div');
  controls.className = 'controls';
  const add = (tag, label, event, act, rest) => {
    const element = Object.assign(document.createElement(tag), rest);
    element.ariaLabel = element.title = label;
    element.addEventListener(event, act);
    controls.append(element);
    return element;
  };
  const back = () => hold(shown - 1);
  const forth = () => hold(shown + 1);
  const toggle = () => (timer === null ? play() : pause());
  const slide = () => hold(+slider.value);
  const whole = { type: 'range', min: 0, max: last, value: 0 };
  const one = { type: 'button' };
  add('button', 'one frame back', 'click', back, { ...one, textContent: '◂' });
  const player = add('button', 'play', 'click', toggle, one);
  add('button', 'one frame on', 'click', forth, { ...one, textContent: '▸' });
  const slider = add('input', 'frame', 'input', slide, whole);

  function show(i) {
    shown = i;
    img.src = pictures[i].src;
    caption.textContent = captions[i];
    slider.value = i;
    slider.ariaValueText = captions[i];
  }

  function hold(i) {
    pause();
    show(Math.min(Math.max(i, 0), last));
  }

  function play() {
    timer = setTimeout(() => {
      show(shown === last ? 0 : shown + 1);
      play();
    }, 1000 * seconds * (shown === last ? 5 : 1));
    player.textContent = '❚❚';
    player.ariaLabel = player.title = 'pause';
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    player.textContent = '▶';
    player.ariaLabel = player.title = 'play';
  }

  film.addEventListener('keydown', (event) => {
    const keys = {
      ArrowLeft: back,
      ArrowRight: forth,
      Home: () => hold(0),
      End: () => hold(last),
      // On a button it means what the button says.
      ' ': event.target === slider ? toggle : undefined,
    };
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  img.addEventListener('click', toggle);
  img.after(controls);
  hold(0);
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) play();
}
