package notify

import "time"

const (
	// recipientsMax is how many numbers or addresses one channel has: all are told within the time of one sending.
	recipientsMax = 20
	// rememberedMax is how many messages a channel remembers whom it has told of already; more are not in flight at once.
	rememberedMax = 200
	// recolouredMax is how many messages of the past change their colour in one sending, the newest: each is a call, and a
	// colour is not worth the limits of the service.
	recolouredMax = 20
	// closedMax is how many things of the past are closed in one sending: more than an incident has rounds.
	closedMax = 500
	// closingAtOnce is how many calls of those are under way at once.
	closingAtOnce = 5
	// retryAfterUsual is how long to wait when a service says "too often" and not for how long.
	retryAfterUsual = 30 * time.Second
	// retryAfterMax is the longest wait that a service can ask of us: an alarm that waits for a day is none.
	retryAfterMax = time.Hour

	// ntfyBytesMax keeps a message below ntfy's 4,096 bytes, above which it becomes a file.
	ntfyBytesMax = 3500
	// slackTextMax is below Slack's 3,000 characters of a text in a block.
	slackTextMax = 2900
	// smsCharsMax is two segments of a concatenated SMS in the GSM alphabet (153 each): each segment is paid for.
	smsCharsMax = 306
	// githubTitleMax and githubBodyMax are GitHub's 256 characters of a title, and far below its 65,536 of a body.
	githubTitleMax = 250
	githubBodyMax  = 20_000
	// githubPage is the longest page of GitHub's lists: as far as is looked for a message that may be there already.
	githubPage = 100
	// pagerdutySummaryMax is PagerDuty's limit of a summary.
	pagerdutySummaryMax = 1024
	// pagerdutyBodyMax is far below its 512 kB of an event.
	pagerdutyBodyMax = 20_000
	// telegramTextMax is below Telegram's 4,096 characters.
	telegramTextMax = 4000
	// discordTitleMax and discordTextMax are below Discord's 256 and 4,096 characters of an embed.
	discordTitleMax = 250
	discordTextMax  = 3800
	// titleMax is for a title everywhere else, in characters.
	titleMax = 200
)
