// The signals of one asset against what the model expects, and the score against its boundary: rows come by `apply`.
const ROWS = 900;
const WIDTH = 1000;
const HEIGHT = 100;
const FIRST = 8; // channels that are drawn before somebody asks for all

export default {
  template: `
    <section class="ea-card" aria-label="Signals">
      <h2>Signals</h2>
      <p v-if="ts.length === 0" class="ea-faint" role="status">{{ waiting }}</p>
      <template v-else>
        <p class="ea-faint">
          Line: observed; dashed: expected; shaded: the band of normal; red: alerts. From {{ clock(ts[0]) }} to
          <span data-test="newest">{{ clock(ts[ts.length - 1]) }}</span>.
        </p>
        <p v-if="last(score) === null" class="ea-faint">The score comes with the next window.</p>
        <figure v-else class="ea-chart" data-test="score">
          <figcaption><b>score</b> <span>{{ brief(last(score)) }} now, boundary {{ brief(last(threshold)) }}</span></figcaption>
          <svg :viewBox="box" preserveAspectRatio="none" role="img" :aria-label="'score, ' + brief(last(score)) + ', boundary ' + brief(last(threshold))">
            <rect v-for="span in drawnSpans" class="ea-span" :x="span.x" y="0" :width="span.width" :height="height"><title>{{ span.reason }}</title></rect>
            <path class="ea-line" :d="scoreLines.score" /><path class="ea-dash" :d="scoreLines.threshold" />
          </svg>
          <div class="ea-axis"><span>{{ clock(ts[0]) }}</span><span>0 to {{ brief(scoreLines.top) }}</span><span>{{ clock(ts[ts.length - 1]) }}</span></div>
        </figure>
        <figure v-for="one in drawn" :key="one.name" class="ea-chart" :data-channel="one.name">
          <figcaption>
            <b>{{ one.name }}</b>
            <span>{{ brief(one.now) }} {{ one.unit }}<template v-if="one.expectedNow !== null">, expected {{ brief(one.expectedNow) }}</template></span>
            <span class="ea-faint">{{ one.bandWord }}</span>
          </figcaption>
          <svg :viewBox="box" preserveAspectRatio="none" role="img" :aria-label="one.name + ': ' + brief(one.now) + ' ' + one.unit + ', expected ' + brief(one.expectedNow)">
            <rect v-for="span in drawnSpans" class="ea-span" :x="span.x" y="0" :width="span.width" :height="height"><title>{{ span.reason }}</title></rect>
            <path class="ea-band" :d="one.band" /><path class="ea-dash" :d="one.expectedLine" /><path class="ea-line" :d="one.observedLine" />
          </svg>
          <div class="ea-axis"><span>{{ clock(ts[0]) }}</span><span>{{ brief(one.bottom) }} to {{ brief(one.top) }}</span><span>{{ clock(ts[ts.length - 1]) }}</span></div>
        </figure>
        <button v-if="channels.length > first" class="plain" @click="every = !every">{{ every ? 'Fewer channels' : 'All ' + channels.length + ' channels' }}</button>
        <p v-if="left > 0" class="ea-notice">{{ left }} more channels are not drawn: a page holds {{ channels.length }}.</p>
      </template>
    </section>`,
  props: { initial: Object, spans: Array, first: { type: Number, default: FIRST }, top: Array, left: Number, waiting: String },
  data: () => ({ generation: -1, ts: [], score: [], threshold: [], channels: [], every: false, box: `0 0 ${WIDTH} ${HEIGHT}`, height: HEIGHT }),
  created() {
    this.apply(this.initial);
  },
  computed: {
    range() {
      const begin = this.ts[0];
      return [begin, Math.max(this.ts[this.ts.length - 1] - begin, 1)];
    },
    drawnSpans() {
      const [begin, length] = this.range;
      const x = (ms) => (Math.min(Math.max((ms - begin) / length, 0), 1)) * WIDTH;
      return (this.spans || [])
        .filter(([from, to]) => (to ?? Infinity) >= begin && from <= begin + length)
        .map(([from, to, reason]) => ({ x: x(from), width: Math.max(x(to ?? Infinity) - x(from), 2), reason }));
    },
    scoreLines() {
      const all = [...this.score, ...this.threshold].filter((value) => value !== null);
      const top = Math.max(...all, 1e-9) * 1.05;
      return { score: this.path(this.score, 0, top, true), threshold: this.path(this.threshold, 0, top, true), top };
    },
    // The channels of the alert first, in the order of their shares.
    ordered() {
      const place = (one) => ((this.top || []).indexOf(one.name) + 1 || 1000);
      return this.channels.map((one, index) => [place(one), index, one]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((entry) => entry[2]);
    },
    drawn() {
      return (this.every ? this.ordered : this.ordered.slice(0, this.first)).map((one) => this.draw(one));
    },
  },
  methods: {
    apply(rows) {
      if (!rows || !rows.ts) return;
      if (rows.generation !== this.generation) {
        this.generation = rows.generation;
        this.ts = [];
        this.score = [];
        this.threshold = [];
        this.channels = rows.channels.map((one) => ({ ...one, observed: [], expected: [] }));
      }
      const add = (column, more) => {
        column.push(...more);
        if (column.length > ROWS) column.splice(0, column.length - ROWS);
      };
      add(this.ts, rows.ts);
      add(this.score, rows.score);
      add(this.threshold, rows.threshold);
      rows.channels.forEach((one, i) => {
        if (!this.channels[i]) return;
        add(this.channels[i].observed, one.observed);
        add(this.channels[i].expected, one.expected);
      });
    },
    draw(one) {
      const known = one.expected.some((value) => value !== null);
      const half = one.deviation !== null && known ? 3 * one.deviation : null;
      const flat = half === null && one.low !== null && one.high !== null;
      const lower = half !== null ? one.expected.map((v) => (v === null ? null : v - half)) : [];
      const upper = half !== null ? one.expected.map((v) => (v === null ? null : v + half)) : [];
      const all = [...one.observed, ...one.expected, ...lower, ...upper, ...(flat ? [one.low, one.high] : [])].filter((v) => v !== null);
      let [bottom, top] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
      const margin = (top - bottom) * 0.05 || Math.abs(top) * 0.05 || 1;
      bottom -= margin;
      top += margin;
      return {
        name: one.name,
        unit: one.unit,
        now: this.last(one.observed),
        expectedNow: this.last(one.expected),
        bandWord: half !== null ? `normal: expected ± ${this.brief(half)}` : flat ? `in training: ${this.brief(one.low)} to ${this.brief(one.high)}` : "",
        observedLine: this.path(one.observed, bottom, top),
        expectedLine: this.path(one.expected, bottom, top),
        band: half !== null ? this.area(lower, upper, bottom, top) : flat ? this.box2(one.low, one.high, bottom, top) : "",
        bottom,
        top,
      };
    },
    point(i, value, bottom, top) {
      const [begin, length] = this.range;
      return `${(((this.ts[i] - begin) / length) * WIDTH).toFixed(1)} ${(HEIGHT * (1 - (value - bottom) / (top - bottom))).toFixed(1)}`;
    },
    // Where values are missing the line is broken; "joined" is for scores, of which not every row has one.
    path(values, bottom, top, joined = false) {
      let d = "";
      let drawing = false;
      values.forEach((value, i) => {
        if (value !== null) d += (drawing ? "L" : "M") + this.point(i, value, bottom, top);
        drawing = value !== null || (joined && drawing);
      });
      return d;
    },
    area(lower, upper, bottom, top) {
      let d = "";
      let begin = 0;
      for (let i = 0; i <= lower.length; i++) {
        if (i < lower.length && lower[i] !== null) continue;
        if (i > begin) {
          const at = [...Array(i - begin).keys()].map((k) => begin + k);
          d += "M" + at.map((k) => this.point(k, upper[k], bottom, top)).join("L");
          d += "L" + at.reverse().map((k) => this.point(k, lower[k], bottom, top)).join("L") + "Z";
        }
        begin = i + 1;
      }
      return d;
    },
    box2(low, high, bottom, top) {
      const y = (value) => (HEIGHT * (1 - (value - bottom) / (top - bottom))).toFixed(1);
      return `M0 ${y(high)}L${WIDTH} ${y(high)}L${WIDTH} ${y(low)}L0 ${y(low)}Z`;
    },
    last: (values) => values.findLast((value) => value !== null) ?? null,
    brief: (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)))),
    clock: (ms) => new Date(ms).toLocaleTimeString(),
  },
};
