// Drives the embedded forge with Octokit, GitHub's own client, and prints what it saw as one JSON object.
// Reads from stdin {url, token, owner, repo, app: {id, pem}, secret, deliveries: [{headers, body}]}.

import { verify } from "@octokit/webhooks-methods";
import { App, Octokit } from "octokit";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const given = JSON.parse(Buffer.concat(chunks).toString());

// No waiting between calls: the forge is not GitHub, and retries would hide errors.
const Client = Octokit.defaults({
  baseUrl: given.url,
  throttle: { enabled: false },
  retry: { enabled: false },
});
const repository = { owner: given.owner, repo: given.repo };

async function asPerson() {
  const octokit = new Client({ auth: given.token });
  const { data: me } = await octokit.rest.users.getAuthenticated();
  const { data: issue } = await octokit.rest.issues.create({ ...repository, title: "From Octokit", labels: ["bug"] });
  for (let n = 0; n < 3; n++) {
    await octokit.rest.issues.createComment({ ...repository, issue_number: issue.number, body: `comment ${n}` });
  }
  const comments = await octokit.paginate(octokit.rest.issues.listComments, {
    ...repository,
    issue_number: issue.number,
    per_page: 1,
  });
  const missing = await octokit.rest.issues
    .get({ ...repository, issue_number: 99999 })
    .catch((error) => ({ name: error.name, status: error.status }));
  const file = await octokit.rest.repos.createOrUpdateFileContents({
    ...repository,
    path: "octokit.txt",
    message: "Add a file",
    content: Buffer.from("octokit\n").toString("base64"),
  });
  return {
    login: me.login,
    issue: issue.number,
    labels: issue.labels.map((label) => label.name),
    comments: comments.map((comment) => comment.body),
    missing,
    file: file.data.content.path,
  };
}

async function asApp(issue) {
  const app = new App({
    appId: given.app.id,
    privateKey: given.app.pem,
    webhooks: { secret: given.secret },
    Octokit: Client,
  });
  const { data: itself } = await app.octokit.rest.apps.getAuthenticated();
  const repositories = [];
  let comment;
  for await (const { octokit, repository: found } of app.eachRepository.iterator()) {
    repositories.push(found.full_name);
    const answer = await octokit.rest.issues.createComment({ ...repository, issue_number: issue, body: "from the App" });
    comment = { author: answer.data.user.login, app: answer.data.performed_via_github_app?.slug };
  }
  const handled = [];
  app.webhooks.onAny(({ name, payload }) => {
    handled.push(payload.action ? `${name}.${payload.action}` : name);
  });
  const genuine = [];
  const forged = [];
  for (const { headers, body } of given.deliveries) {
    const signature = headers["x-hub-signature-256"];
    genuine.push(await verify(given.secret, body, signature));
    forged.push(await verify(given.secret, `${body} `, signature));
    await app.webhooks.verifyAndReceive({
      id: headers["x-github-delivery"],
      name: headers["x-github-event"],
      payload: body,
      signature,
    });
  }
  return { slug: itself.slug, repositories, comment, handled, genuine, forged };
}

const person = await asPerson();
console.log(JSON.stringify({ person, app: await asApp(person.issue) }));
