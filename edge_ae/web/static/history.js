// Alerts of the past days, and what a person has to say of each: events leave as {action, id, ...}, which the page checks.
const PAGE = 10;

export default {
  template: `
    <section class="ea-card" aria-label="Alerts of the past days">
      <h2>Alerts of the past 30 days</h2>
      <p v-if="!known" class="ea-faint">Asking the node.</p>
      <p v-else-if="alerts.length === 0" class="ea-faint">None.</p>
      <ul class="ea-alerts">
        <li v-for="alert in shown" :key="alert.id" :data-alert="alert.id">
          <div class="ea-alert-head">
            <b>{{ when(alert.ts_raised ?? alert.ts_onset) }}</b>
            <span :class="alert.suppressed ? 'ea-calm' : 'ea-bad'"> {{ word(alert) }}</span>
            <span class="ea-faint"> {{ alert.duration_s === null ? '' : span(alert.duration_s) }}<template v-if="alert.ratio !== null">, ratio {{ alert.ratio.toFixed(2) }}</template></span>
          </div>
          <div>{{ alert.reason }}</div>
          <div v-if="alert.suppressed_by" class="ea-faint">{{ alert.suppressed_by }}</div>
          <div v-if="alert.label || alert.note" class="ea-faint" data-test="label">{{ (alert.label || '').replace('_', ' ') }} <b v-if="alert.name">{{ alert.name }}</b> {{ alert.note }}</div>
          <div class="ea-tools">
            <button class="plain" @click="act('false_alarm', alert)">False alarm</button>
            <button class="plain" @click="act('true_alarm', alert)">True alarm</button>
            <button class="plain" @click="act('note', alert)">Name it …</button>
            <button class="plain" v-if="alert.top_channel" @click="act('rule', alert)">Rule for {{ alert.top_channel }} …</button>
          </div>
        </li>
      </ul>
      <div class="ea-tools" v-if="alerts.length > count || more">
        <button class="plain" @click="earlier">Earlier alerts</button>
      </div>
    </section>`,
  props: { alerts: Array, more: Boolean, known: Boolean },
  emits: ["act"],
  data: () => ({ count: PAGE }),
  computed: {
    shown() {
      return this.alerts.slice(0, this.count);
    },
  },
  methods: {
    act(action, alert) {
      this.$emit("act", { action, id: alert.id });
    },
    earlier() {
      this.count += PAGE;
      if (this.more && this.alerts.length <= this.count) this.$emit("act", { action: "earlier", id: "" });
    },
    word: (alert) => (alert.suppressed ? "suppressed" : alert.ts_cleared === null ? "goes on" : "ended") + (alert.severity ? `, ${alert.severity}` : ""),
    when: (ms) => (ms === null ? "" : new Date(ms).toLocaleString()),
    span: (s) => (s >= 7200 ? `${Math.round(s / 3600)} h` : s >= 120 ? `${Math.round(s / 60)} min` : `${Math.round(s)} s`),
  },
};
