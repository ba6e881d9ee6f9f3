// The head of each page: title, whether all of it is connected, light or dark, logout. What it shows are Vue's texts, never HTML.
export default {
  template: `
    <div>
      <header class="ea-head">
        <a v-if="inner" href="/" aria-label="Back to all assets">&larr; all assets</a>
        <h1>{{ title }}</h1>
        <label>
          <span class="ea-faint">colours </span>
          <select v-model="scheme" @change="choose" aria-label="Colours: as the system has them, light, or dark">
            <option value="auto">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
        <form v-if="logout" method="post" action="/logout"><button class="plain" type="submit">Log out</button></form>
      </header>
      <div role="status" aria-live="polite">
        <p v-if="pageLost" class="ea-notice" data-test="page-lost">
          This page is not connected since {{ clock(pageLost) }}: what it shows is old. It comes back by itself.
        </p>
        <p v-if="broker" class="ea-notice" data-test="broker-lost">
          Not connected to the broker since {{ clock(broker[0]) }}; trying again. {{ broker[1] }}
        </p>
      </div>
    </div>`,
  props: { title: String, inner: Boolean, logout: Boolean, broker: Array },
  data: () => ({ pageLost: null, scheme: "auto" }),
  mounted() {
    this.scheme = ["light", "dark"].includes(localStorage.getItem("edge-ae-colours"))
      ? localStorage.getItem("edge-ae-colours")
      : "auto";
    this.choose();
    this.lost = () => (this.pageLost ??= Date.now());
    this.back = () => (this.pageLost = null);
    Vue.nextTick(() => {
      // The library makes its socket once everything is mounted.
      window.socket.on("disconnect", this.lost);
      window.socket.on("connect_error", this.lost);
      window.socket.on("connect", this.back);
    });
  },
  methods: {
    choose() {
      localStorage.setItem("edge-ae-colours", this.scheme);
      setDark(this.scheme === "auto" ? null : this.scheme === "dark");
    },
    clock: (ms) => new Date(ms).toLocaleTimeString(),
  },
};
