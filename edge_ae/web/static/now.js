// The state of an asset, why it is so, and the shares of its alert. What a person can answer is put between them by the page.
export default {
  template: `
    <section class="ea-card" aria-label="State">
      <h2>Now: <span class="ea-state" :class="'ea-' + tone" data-test="state">{{ state }}</span></h2>
      <p v-if="reason" class="ea-reason" data-test="reason">{{ reason }}</p>
      <p v-if="past" class="ea-faint" data-test="past">{{ past }}</p>
      <progress v-if="warmUp" :value="warmUp[0]" :max="warmUp[1]" :aria-label="'warm-up: ' + warmUp[0] + ' of ' + warmUp[1] + ' rows'"></progress>
      <slot></slot>
      <template v-if="shares.length">
        <h2>Shares of the alert</h2>
        <div v-for="share in shares" class="ea-share">
          <span>{{ share.name }}</span>
          <span><div class="ea-bar" :style="{ width: Math.round(100 * share.share) + '%' }"></div>{{ share.text }}</span>
        </div>
      </template>
    </section>`,
  props: { state: String, tone: String, reason: String, past: String, warmUp: Array, shares: { type: Array, default: () => [] } },
};
