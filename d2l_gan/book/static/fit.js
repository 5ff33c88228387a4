// A formula that is wider than its column gets smaller, until it fits.
const fit = () => {
  for (const formula of document.querySelectorAll('div.math')) {
    formula.style.fontSize = '';
    const image = formula.querySelector('mjx-container > svg');
    const isWide = () =>
      image.getBoundingClientRect().width > formula.clientWidth + 1;
    // Step by step, since its unit is a letter's height in whole pixels
    for (let size = 98; size > 30 && isWide(); size -= 2) {
      formula.style.fontSize = `${size}%`;
    }
  }
};
addEventListener('load', async () => {
  await window.MathJax?.startup.promise;
  fit();
  addEventListener('resize', fit);
  addEventListener('beforeprint', fit);
});
