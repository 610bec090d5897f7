// Keeps a form while it is being filled in. Without it the button "save" does the same.

const PAUSE = 1500;

for (const form of document.querySelectorAll("form[data-autosave]")) {
  const told = form.querySelector("[data-autosaved]");
  const version = form.querySelector("[name=version]");
  let timer = 0;
  let running = false;
  let again = false;
  let stopped = false;

  const save = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    const data = new FormData(form);
    for (const input of form.querySelectorAll("input[type=file]")) data.delete(input.name);
    data.set("act", "autosave");
    try {
      const answer = await fetch(form.action || location.href, { method: "POST", body: data });
      const said = await answer.json();
      told.textContent = said.text;
      if (answer.ok) version.value = said.version;
      else stopped = true;
    } catch {
      told.textContent = form.dataset.failed;
    }
    running = false;
    if (again && !stopped) {
      again = false;
      save();
    }
  };

  form.addEventListener("input", (event) => {
    if (stopped || event.target.type === "file") return;
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE);
  });
  form.addEventListener("submit", () => {
    clearTimeout(timer);
    stopped = true;
  });
}
