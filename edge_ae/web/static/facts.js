// What else is known of an asset now: all of it comes anew with each change.
export default {
  template: `
    <section class="ea-card" aria-label="Facts">
      <h2>Facts</h2>
      <dl class="ea-facts"><template v-for="[title, text] in facts"><dt>{{ title }}</dt><dd>{{ text }}</dd></template></dl>
      <ul v-if="inForce.length" class="ea-alerts" aria-label="Rules, silences and lessons in force">
        <li v-for="one in inForce">{{ one.text }} <button v-if="one.clear !== null" class="plain" @click="$emit('clear', one.clear)">Take back</button></li>
      </ul>
    </section>`,
  props: { facts: Array, inForce: { type: Array, default: () => [] } },
  emits: ["clear"],
};
