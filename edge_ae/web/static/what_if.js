// How many alerts, and which, the past days would have had at another budget: drawn from the peak of each hour.
const HOUR = 3600000;

export default {
  template: `
    <section v-if="whatIf && whatIf.budgets.length" class="ea-card" aria-label="What if the budget were another">
      <h2>What if the budget were another?</h2>
      <input type="range" min="0" :max="whatIf.budgets.length - 1" step="1" v-model.number="at" aria-label="Budget" :aria-valuetext="chosen.budget" data-test="budget">
      <p role="status" data-test="what-if">
        With <b>{{ chosen.budget }}</b>: {{ chosen.alerts ?? runs.length }} {{ (chosen.alerts ?? runs.length) === 1 ? 'alert' : 'alerts' }} in the past days
        (now {{ whatIf.budget }}).
        <template v-if="whatIf.others">{{ whatIf.others }} more would stay whatever the budget.</template>
      </p>
      <svg class="ea-spark" :viewBox="'0 0 ' + Math.max(bars.length, 1) + ' 40'" preserveAspectRatio="none" role="img" aria-label="highest score of each hour; the dashed line is the boundary of the chosen budget">
        <rect v-for="bar in bars" class="ea-hourbar" :class="{ over: bar.over }" :x="bar.x" :y="40 - bar.height" width="0.9" :height="bar.height" />
        <line x1="0" :x2="bars.length" :y1="line" :y2="line" class="ea-dash" />
      </svg>
      <ul class="ea-alerts"><li v-for="run in runs.slice(-10).reverse()">{{ when(run[0]) }} to {{ when(run[1]) }}</li></ul>
      <p v-if="runs.length > 10" class="ea-faint">and {{ runs.length - 10 }} earlier ones</p>
      <button class="plain" :disabled="chosen.budget === whatIf.budget" @click="$emit('use', chosen.budget)">Use this budget</button>
    </section>`,
  props: { whatIf: Object },
  emits: ["use"],
  data: () => ({ picked: null }),
  computed: {
    at: {
      get() {
        const now = this.whatIf.budgets.findIndex((one) => one.budget === this.whatIf.budget);
        return Math.min(this.picked ?? Math.max(now, 0), this.whatIf.budgets.length - 1);
      },
      set(value) {
        this.picked = value;
      },
    },
    chosen() {
      return this.whatIf.budgets[this.at];
    },
    runs() {
      const found = [];
      for (const [ms, peak] of this.whatIf.hours) {
        if (peak < this.chosen.boundary) continue; // as the daemon has it: at the boundary there is an alert
        const last = found[found.length - 1];
        if (last && ms <= last[1]) last[1] = ms + HOUR;
        else found.push([ms, ms + HOUR]);
      }
      return found;
    },
    scale() {
      return 40 / Math.max(...this.whatIf.hours.map((hour) => hour[1]), this.chosen.boundary * 1.2, 1e-9);
    },
    bars() {
      return this.whatIf.hours.map(([, peak], x) => ({ x, height: Math.max(peak * this.scale, 0), over: peak >= this.chosen.boundary }));
    },
    line() {
      return 40 - this.chosen.boundary * this.scale;
    },
  },
  methods: {
    when: (ms) => new Date(ms).toLocaleString([], { dateStyle: "short", timeStyle: "short" }),
  },
};
