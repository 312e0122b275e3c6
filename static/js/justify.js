// Justified rows: breaks are chosen so that every row stays near the wanted height (dynamic programming).
// <div class="just" style="--rowh:204px"><figure style="--r:0.75">; without this script CSS alone gives ragged rows.
const SHORTEST = 0.66; // of the wanted row height
const TALLEST = 2.2;
const LAST_ROW = 1.25; // a short last row grows no further than this

const number = (style, name, fallback) => parseFloat(style.getPropertyValue(name)) || fallback;

/** Row breaks for pictures with `ratios` (width / height): from[j] is where the row that ends before j starts. */
function breaks(ratios, width, gap, target) {
  const count = ratios.length;
  const cost = Array(count + 1).fill(Infinity);
  const from = Array(count + 1).fill(0);
  cost[0] = 0;
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let j = i; j < count; j++) {
      sum += ratios[j];
      const last = j === count - 1;
      const height = (width - gap * (j - i)) / sum;
      if (height > target * TALLEST && !last) continue;
      if (height < target * SHORTEST && j > i) break;
      const here = cost[i] + (last && height > target ? 0.15 : ((height - target) / target) ** 2);
      if (here < cost[j + 1]) [cost[j + 1], from[j + 1]] = [here, i];
    }
  }
  return Number.isFinite(cost[count]) ? from : null;
}

function lay(box) {
  const figures = [...box.children];
  const style = getComputedStyle(box);
  const [width, gap, target] = [box.clientWidth, parseFloat(style.columnGap) || 0, number(style, "--rowh", 200)];
  if (!width || !figures.length) return;
  const ratios = figures.map((figure) => number(figure.style, "--r", 1));
  const from = breaks(ratios, width, gap, target);
  if (!from) return;
  for (let end = ratios.length; end > 0; end = from[end]) {
    const start = from[end];
    const sum = ratios.slice(start, end).reduce((a, b) => a + b, 0);
    const full = (width - gap * (end - start - 1)) / sum;
    const height = end === ratios.length ? Math.min(full, target * LAST_ROW) : full;
    for (let k = start; k < end; k++) {
      // A hair less than the exact width, or rounding breaks the row one picture early.
      figures[k].style.flex = `0 0 ${Math.floor(ratios[k] * height * 100) / 100 - 0.02}px`;
      figures[k].style.maxInlineSize = "none";
    }
  }
}

const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => lay(target)));
const contents = new MutationObserver((records) => new Set(records.map(({ target }) => target)).forEach(lay));

/** Lay out every .just, and again when its width, its row height or its pictures change. */
export function watch(root = document) {
  for (const box of root.querySelectorAll(".just")) {
    sizes.observe(box);
    contents.observe(box, { childList: true, attributes: true, attributeFilter: ["style"] });
  }
}
