// The map of the items: points on a canvas, to be pointed at, pressed, and walked by arrow keys.

const COLOURS = ["#0a84d6", "#e6791e", "#1f9e63", "#d1487c", "#8a63d2", "#b8960c", "#17a2a8", "#a0522d", "#8b94a3"];
const RADIUS = 4;
const MARGIN = 14;
const REACH = 24;

// Draws the points and returns the groups with their colours, the largest first. `tell` hears which point is
// chosen, `open` which one is pressed.
export function drawMap(canvas, points, tell, open) {
  const sizes = new Map();
  for (const { group } of points) if (group) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const groups = [...sizes].sort((a, b) => b[1] - a[1]).map(([name], i) => [name, COLOURS[i % COLOURS.length]]);
  const colours = new Map(groups);
  let places = [];
  let at = -1;

  function lay() {
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const bounds = (key) => {
      const values = points.map((point) => point[key]);
      return [Math.min(...values), Math.max(...values)];
    };
    const [[left, right], [low, high]] = [bounds("x"), bounds("y")];
    places = points.map(({ x, y }) => [
      MARGIN + ((x - left) / (right - left || 1)) * (width - 2 * MARGIN),
      height - MARGIN - ((y - low) / (high - low || 1)) * (height - 2 * MARGIN),
    ]);
    draw();
  }

  function draw() {
    const scale = window.devicePixelRatio || 1;
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    pen.globalAlpha = 0.75;
    places.forEach(([x, y], i) => {
      pen.fillStyle = colours.get(points[i].group) ?? COLOURS.at(-1);
      pen.beginPath();
      pen.arc(x, y, RADIUS, 0, 2 * Math.PI);
      pen.fill();
    });
    if (at < 0) return;
    pen.globalAlpha = 1;
    pen.lineWidth = 3;
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.beginPath();
    pen.arc(...places[at], 2 * RADIUS, 0, 2 * Math.PI);
    pen.stroke();
  }

  function choose(i) {
    if (i < 0 || i === at) return;
    at = i;
    tell(points[i]);
    draw();
  }

  // The nearest point for which `fits` holds, -1 for none.
  function nearest([x, y], fits = () => true) {
    let [best, least] = [-1, Infinity];
    places.forEach((place, i) => {
      const distance = Math.hypot(place[0] - x, place[1] - y);
      if (distance < least && fits(place, i)) [best, least] = [i, distance];
    });
    return best;
  }

  const pointed = (event) => nearest([event.offsetX, event.offsetY], ([x, y]) =>
    Math.hypot(x - event.offsetX, y - event.offsetY) < REACH);
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  canvas.onpointermove = (event) => choose(pointed(event));
  canvas.onclick = (event) => {
    const i = pointed(event);
    choose(i);
    if (i >= 0) open(points[i]);
  };
  canvas.onkeydown = (event) => {
    if (event.key === "Enter" && at >= 0) open(points[at]);
    const step = steps[event.key];
    if (!step || !points.length) return;
    event.preventDefault();
    if (at < 0) return choose(0);
    const [x, y] = places[at];
    // In a cone of 45 degrees to each side of the arrow.
    choose(nearest([x, y], ([px, py], i) => {
      const along = (px - x) * step[0] + (py - y) * step[1];
      const aside = Math.abs((px - x) * step[1]) + Math.abs((py - y) * step[0]);
      return i !== at && along > 0 && aside <= along;
    }));
  };
  window.onresize = lay;
  lay();
  return groups;
}
