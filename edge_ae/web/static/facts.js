// What is known of an asset now: all of it comes anew with each change.
export default {
  template: `
    <section class="ea-card" aria-label="State">
      <h2>Now: <span class="ea-state" :class="'ea-' + tone" data-test="state">{{ state }}</span></h2>
      <p v-if="reason" data-test="reason">{{ reason }}</p>
      <dl class="ea-facts"><template v-for="[title, text] in facts"><dt>{{ title }}</dt><dd>{{ text }}</dd></template></dl>
      <ul v-if="inForce.length" class="ea-alerts" aria-label="Rules and silences in force">
        <li v-for="one in inForce">{{ one.text }} <button v-if="one.clear !== null" class="plain" @click="$emit('clear', one.clear)">Take back</button></li>
      </ul>
      <progress v-if="warmUp" :value="warmUp[0]" :max="warmUp[1]" :aria-label="'warm-up: ' + warmUp[0] + ' of ' + warmUp[1] + ' rows'"></progress>
      <template v-if="shares.length">
        <h2>Shares of the alert</h2>
        <div v-for="share in shares" class="ea-share">
          <span>{{ share.name }}</span>
          <span><div class="ea-bar" :style="{ width: Math.round(100 * share.share) + '%' }"></div>{{ share.text }}</span>
        </div>
      </template>
    </section>`,
  props: { state: String, tone: String, reason: String, facts: Array, warmUp: Array, shares: Array, inForce: { type: Array, default: () => [] } },
  emits: ["clear"],
};
