// The overview: rows as they were when the page was made, and then only what has changed, by `apply`.
const SPARK = 120;
const FULL_SCALE = 2; // of a sparkline; the boundary is in its middle
const SHOWN = 300; // rows at once; with more, the search finds the others

export default {
  template: `
    <div>
      <p v-for="notice in notices" class="ea-notice" role="status">{{ notice }}</p>
      <div class="ea-tools">
        <input type="search" v-model="wanted" maxlength="100" placeholder="search name, node, state, reason" aria-label="Search the assets">
        <select v-model="state" aria-label="Show only one state">
          <option value="">all states</option>
          <option v-for="[word, count] in counts" :value="word">{{ word }} ({{ count }})</option>
        </select>
        <span class="ea-counts" role="status" data-test="counts">{{ summary }}</span>
      </div>
      <div v-if="all.length" class="ea-heads" aria-hidden="true">
        <span>asset</span><span>state</span><span class="ea-number" title="score / boundary: an alert from 1 on">ratio</span><span>last hour</span><span>why</span>
      </div>
      <ul class="ea-list" aria-label="Assets, the worst first">
        <li v-for="row in shown" :key="row.key">
          <a class="ea-row" :href="row.path" :data-asset="row.key">
            <span class="ea-name">{{ row.name }} <span v-if="manyNodes" class="ea-node">{{ row.node }}</span></span>
            <span class="ea-state" :class="'ea-' + row.tone">{{ row.state }}{{ row.severity ? ', ' + row.severity : '' }}</span>
            <span class="ea-ratio" :class="{ 'ea-old': row.old }" :title="row.old ? 'no score for a minute' : 'score / boundary'">{{ row.ratio === null ? '–' : row.ratio.toFixed(2) }}</span>
            <span class="ea-spark-cell">
              <svg class="ea-spark" viewBox="0 0 120 20" preserveAspectRatio="none" role="img" aria-label="ratio of the last hour; the dashed line is the boundary">
                <line x1="0" x2="120" y1="10" y2="10" class="ea-dash" />
                <polyline class="ea-line" :points="points(row.spark)" />
              </svg>
            </span>
            <span class="ea-why">{{ row.reason }}<span v-if="!row.reason" class="ea-faint">{{ row.past }}</span></span>
          </a>
        </li>
      </ul>
      <p v-if="matching.length > shown.length" class="ea-notice">{{ matching.length - shown.length }} more assets are not drawn; search for them.</p>
      <p v-if="all.length === 0" class="ea-notice">Nothing has been published of an asset yet.</p>
    </div>`,
  props: { initial: Object },
  data: () => ({ rows: {}, notices: [], wanted: "", state: "" }),
  created() {
    this.apply(this.initial);
  },
  computed: {
    all() {
      return Object.values(this.rows).sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
    },
    matching() {
      const words = this.wanted.toLowerCase().split(/\s+/).filter(Boolean);
      return this.all.filter((row) => {
        const text = `${row.name} ${row.node} ${row.state} ${row.severity} ${row.reason} ${row.past}`.toLowerCase();
        return (!this.state || row.state === this.state) && words.every((word) => text.includes(word));
      });
    },
    shown() {
      return this.matching.slice(0, SHOWN);
    },
    counts() {
      const found = new Map();
      for (const row of this.all) found.set(row.state, (found.get(row.state) || 0) + 1);
      return [...found];
    },
    manyNodes() {
      return new Set(this.all.map((row) => row.node)).size > 1;
    },
    summary() {
      return `${this.all.length} ${this.all.length === 1 ? "asset" : "assets"}: ` + this.counts.map(([word, count]) => `${count} ${word}`).join(", ");
    },
  },
  methods: {
    apply(changes) {
      for (const key of changes.gone || []) delete this.rows[key];
      for (const change of changes.rows || []) {
        const row = this.rows[change.key];
        if (!row) {
          if (change.spark) this.rows[change.key] = change;
          continue;
        }
        if ("slot" in change || "last" in change) this.extend(row, change);
        Object.assign(row, change);
      }
      if (changes.notices) this.notices = changes.notices;
    },
    extend(row, change) {
      const last = "last" in change ? change.last : row.last;
      if ("slot" in change && change.slot !== row.slot) row.spark.push(last);
      else row.spark[Math.max(row.spark.length - 1, 0)] = last;
      if (row.spark.length > SPARK) row.spark.splice(0, row.spark.length - SPARK);
    },
    points(spark) {
      const begin = SPARK - spark.length;
      return spark.map((ratio, i) => `${begin + i},${(20 * (1 - Math.min(ratio, FULL_SCALE) / FULL_SCALE)).toFixed(1)}`).join(" ");
    },
  },
};
