// The views of the console, in the order of the menu. Each is read when it is first opened.

const view = (name) => () => import(`../views/${name}.js`).then((module) => module.default);

export const VIEWS = {
  topology: { title: "Topology", load: view("topology") },
  messages: { title: "Messages", load: view("messages") },
  conversations: { title: "Conversations", load: view("conversations") },
  agents: { title: "Agents", load: view("agents") },
  publish: { title: "Publish", load: view("publish") },
  chat: { title: "Chat", load: view("chat") },
  experiments: { title: "Experiments", load: view("experiments"), feature: "experiments" },
  approvals: { title: "Approvals", load: view("approvals"), feature: "approvals" },
  "dead-letters": { title: "Dead letters", load: view("dead_letters") },
};

export const GROUPS = [
  { title: "Watch", views: ["topology", "messages", "conversations", "experiments"] },
  { title: "Talk", views: ["publish", "chat"] },
  { title: "Operate", views: ["agents", "dead-letters", "approvals"] },
];

export const DEFAULT_VIEW = "topology";
