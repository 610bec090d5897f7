// Upload a file in pieces, so that a broken connection costs one piece. Without this script the form sends it whole.
//
// <form data-pieces data-begin="/api/v1/job-files" data-size="4194304"> with an <input type="file">, [data-progress] around
// a <progress> and a <span>, [data-broken] said when the line broke. The same file chosen again goes on where it stopped:
// its key is made of name, size and time of change.

async function call(form, path, options) {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value, "Accept-Language": document.documentElement.lang, ...options.headers };
  const response = await fetch(path, { ...options, headers, credentials: "same-origin" });
  const body = await response.json().catch(() => ({}));
  return { status: response.status, body };
}

function keyOf(file, again) {
  let hash = 5381;
  for (const letter of `${file.name}/${again}`) hash = ((hash * 33) ^ letter.codePointAt(0)) >>> 0;
  return `page:${hash.toString(36)}:${file.size}:${file.lastModified}`;
}

async function begin(form, file) {
  const body = JSON.stringify({ name: file.name, size: file.size });
  for (let again = 0; again < 50; again++) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": keyOf(file, again) };
    const answer = await call(form, form.dataset.begin, { method: "POST", headers, body });
    if (answer.status !== 201 || answer.body.state !== "discarded") return answer;
  }
  return { status: 0, body: {} };
}

async function send(form, file, show) {
  let answer = await begin(form, file);
  if (answer.status !== 201) return answer;
  let upload = answer.body;
  while (upload.state === "receiving") {
    show(upload.received);
    const piece = new FormData();
    piece.append("chunk", file.slice(upload.received, upload.received + Number(form.dataset.size)), "chunk");
    const path = `${form.dataset.begin}/${upload.number}/chunks?offset=${upload.received}`;
    answer = await call(form, path, { method: "POST", body: piece });
    if (answer.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    } else if (answer.status === 409 && answer.body.code === "jobfile.offset" && answer.body.data.offset !== upload.received) {
      upload = { ...upload, received: answer.body.data.offset };
    } else if (answer.status === 200) {
      upload = answer.body;
    } else return answer;
  }
  return { status: 200, body: upload };
}

for (const form of document.querySelectorAll("form[data-pieces]")) {
  const input = form.querySelector("input[type=file]");
  const progress = form.querySelector("[data-progress]");
  const broken = form.querySelector("[data-broken]");
  const words = broken.textContent;
  form.addEventListener("submit", async (event) => {
    const [file] = input.files;
    if (!file) return;
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    broken.hidden = true;
    progress.hidden = false;
    const show = (received) => {
      const share = file.size ? Math.floor((100 * received) / file.size) : 100;
      progress.querySelector("progress").value = share;
      progress.querySelector("span").textContent = `${share}%`;
    };
    try {
      const answer = await send(form, file, show);
      if (answer.status === 200) {
        location.reload();
        return;
      }
      broken.textContent = answer.body.detail || words;
    } catch {
      broken.textContent = words;
    }
    broken.hidden = false;
    button.disabled = false;
  });
}
