// A formula that is wider than its column gets smaller, until it fits.
const fit = () => {
  for (const formula of document.querySelectorAll('div.math')) {
    formula.style.fontSize = '';
    const image = formula.querySelector('mjx-container > svg');
    const share = formula.clientWidth / image.getBoundingClientRect().width;
    if (share < 1) formula.style.fontSize = `${100 * share}%`;
  }
};
addEventListener('load', async () => {
  await window.MathJax?.startup.promise;
  fit();
  addEventListener('resize', fit);
  addEventListener('beforeprint', fit);
});
