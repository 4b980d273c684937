// Browsers start no worker from a file. Where the site is opened from the file system, the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const room = frame.contentWindow
      room.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.ready = new Promise(resolve => {
        const script = frame.contentDocument.createElement("script")
        script.src = url
        script.onload = resolve
        frame.contentDocument.body.append(script)
      })
      this.tell = data => room.dispatchEvent(new room.MessageEvent("message", { data }))
    }
    postMessage(data) {
      this.ready.then(() => this.tell(data))
    }
  }
}
