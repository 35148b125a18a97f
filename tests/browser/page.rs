//! A tab: what it shows, and a person's hands in it.

use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

/// Nothing that a test waits for takes this long, not beside others on a slow machine either.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// A connection of the `DevTools` protocol.
pub(crate) struct Devtools {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// What the page threw and nobody caught.
    thrown: Vec<String>,
    loads: usize,
}

impl Devtools {
    pub(crate) fn connect(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).expect("a WebSocket");
        let devtools = Self { socket, last: 0, thrown: Vec::new(), loads: 0 };
        devtools.wait_at_most(LIMIT);
        devtools
    }

    /// Nothing that is waited for takes longer.
    fn wait_at_most(&self, limit: Duration) {
        self.socket.get_ref().set_read_timeout(Some(limit + Duration::from_secs(10))).expect("a limit");
    }

    /// Calls a method; its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let request = json!({ "id": self.last, "method": method, "params": params });
        self.socket.send(Message::text(request.to_string())).expect("it listens");
        loop {
            let mut answer = self.read();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method} {params}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn read(&mut self) -> Value {
        loop {
            let Message::Text(text) = self.socket.read().expect("it goes on") else { continue };
            let told: Value = serde_json::from_str(&text).expect("JSON");
            match told["method"].as_str() {
                Some("Runtime.exceptionThrown") => {
                    let details = &told["params"]["exceptionDetails"];
                    self.thrown.push(format!("{} {}", details["text"], details["exception"]["description"]));
                }
                Some("Page.loadEventFired") => self.loads += 1,
                _ => {}
            }
            return told;
        }
    }
}

/// A tab.
pub(crate) struct Page {
    devtools: Devtools,
}

/// A text as JavaScript writes it.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Page {
    pub(crate) fn attach(port: u16, target: &str) -> Self {
        let mut devtools = Devtools::connect(port, &format!("/devtools/page/{target}"));
        for domain in ["Page", "Runtime"] {
            devtools.call(&format!("{domain}.enable"), &json!({}));
        }
        Self { devtools }
    }

    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.devtools.call(method, params)
    }

    /// Goes to an address, and waits until all of it is there.
    pub(crate) fn navigate(&mut self, url: &str) {
        let loads = self.devtools.loads;
        let answer = self.call("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        while self.devtools.loads == loads {
            self.devtools.read();
        }
    }

    /// What an expression is; of a promise, what it comes to.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until a condition is so; its value.
    pub(crate) fn wait_until(&mut self, condition: &str) -> Value {
        self.wait_until_within(condition, 1)
    }

    /// The same for what takes long: up to so many times the limit.
    pub(crate) fn wait_until_within(&mut self, condition: &str, limits: u32) -> Value {
        self.devtools.wait_at_most(LIMIT * limits);
        let value = self.look_until(condition, LIMIT * limits);
        self.devtools.wait_at_most(LIMIT);
        value
    }

    fn look_until(&mut self, condition: &str, limit: Duration) -> Value {
        let waiting = format!(
            "new Promise((give) => {{
               const from = performance.now();
               const look = () => {{
                 const value = ({condition});
                 if (value) give(value instanceof Node ? true : value);
                 else if (performance.now() - from > {}) give(null);
                 else setTimeout(look, 15);
               }};
               look();
             }})",
            limit.as_millis()
        );
        let value = self.eval(&waiting);
        if value.is_null() {
            let shown = self.eval("document.body.innerText");
            let shown = shown.as_str().unwrap_or_default();
            unreachable!("never {condition}\nthrown: {:?}\n{shown}", self.devtools.thrown);
        }
        value
    }

    /// Waits until something is there and to be seen.
    pub(crate) fn wait_for(&mut self, selector: &str) {
        let selector = quoted(selector);
        self.wait_until(&format!("document.querySelector({selector})?.checkVisibility()"));
    }

    /// How many there are.
    pub(crate) fn count(&mut self, selector: &str) -> u64 {
        self.eval(&format!("document.querySelectorAll({}).length", quoted(selector))).as_u64().expect("a number")
    }

    /// The text of an element.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({})?.textContent", quoted(selector)));
        text.as_str().expect("it is there").to_owned()
    }

    /// Clicks with the mouse, once it can be seen.
    pub(crate) fn click(&mut self, selector: &str) {
        self.wait_for(selector);
        let place = self.eval(&format!(
            "(() => {{
               const element = document.querySelector({});
               element.scrollIntoView({{ block: 'nearest', inline: 'nearest' }});
               const box = element.getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2];
             }})()",
            quoted(selector)
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": button, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Types into a field.
    pub(crate) fn type_in(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses a key: `Enter`, `End`, `Escape`, `Tab`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "End" => (35, ""),
            "Tab" => (9, ""),
            _ => (0, ""),
        };
        let mut down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", &down);
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// Says a line in the open room.
    pub(crate) fn say(&mut self, line: &str) {
        self.type_in("#say", line);
        self.press("Enter");
    }

    /// The page as a PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        from_base64(shot["data"].as_str().expect("a picture"))
    }

    /// Keeps a picture of this moment for people, where `RINGTALK_SHOTS` names a directory for them.
    pub(crate) fn keep_shot(&mut self, name: &str) {
        if let Some(dir) = std::env::var_os("RINGTALK_SHOTS") {
            std::fs::write(std::path::Path::new(&dir).join(format!("{name}.png")), self.screenshot()).expect("written");
        }
    }

    /// Bytes of objects that are in use, without what is garbage.
    pub(crate) fn heap(&mut self) -> u64 {
        self.call("HeapProfiler.collectGarbage", &json!({}));
        self.call("Runtime.getHeapUsage", &json!({}))["usedSize"].as_f64().expect("a number") as u64
    }

    /// Nodes that there are, in the document and beside it.
    pub(crate) fn nodes(&mut self) -> u64 {
        self.call("Memory.getDOMCounters", &json!({}))["nodes"].as_u64().expect("a number")
    }

    /// Nothing was thrown that nobody caught.
    pub(crate) fn assert_sound(&mut self) {
        self.eval("true");
        assert_eq!(self.devtools.thrown, Vec::<String>::new());
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = letters.iter().position(|one| *one == letter).expect("a letter of base64");
        (bits, count) = (bits << 6 | value as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
