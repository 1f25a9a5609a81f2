// The steps of a conversation as the gateway tells them, with their times as numbers.

export function stepsOf(conversation) {
  return (conversation.steps ?? []).map((step, index) => ({
    ...step,
    number: index + 1,
    at: step.at === null || step.at === undefined ? null : secondsOf(step.at),
    agents: step.agents ?? [],
  }));
}

function secondsOf(at) {
  const seconds = typeof at === "number" ? at : Date.parse(at) / 1000;
  return Number.isNaN(seconds) ? null : seconds;
}
