"""Which type the terminal wants of which settings key, as measured at 2.1.330; a wrong one costs a person's whole file.

Found by giving every word of the settings a value of every type and reading what `claude doctor` said of it. A key that is not here
may be anything: the terminal keeps it and says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Wanted:
    """A type: how it is called in a message, and whether a value is of it."""

    expected: str
    fits: Callable[[Any], bool]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: _number(value) and value == value // 1 and least <= value <= 2**53 - 1


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in cast("list[object]", value))


def _objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in cast("list[object]", value))


def _with(*names: str) -> Callable[[Any], bool]:
    return lambda value: _objects(value) and all(isinstance(entry.get(name), str) for entry in value for name in names)


def _or_null(wanted: Wanted) -> Wanted:
    return Wanted(wanted.expected, lambda value: value is None or wanted.fits(value))


def _one_of(*choices: str, null: bool = False) -> Wanted:
    said = f"one of {', '.join(map(repr, choices))}"
    return Wanted(said, lambda value: (value is None and null) or (isinstance(value, str) and value in choices))


_STRING = Wanted("a string", lambda value: isinstance(value, str))
_BOOLEAN = Wanted("true or false", lambda value: isinstance(value, bool))
_OBJECT = Wanted("an object", lambda value: isinstance(value, dict))
_TEXTS = Wanted("a list of strings", _texts)
_OBJECTS = Wanted("a list of objects", _objects)
_POSITIVE = Wanted("a whole number of 1 or more", _whole(1))
_NATURAL = Wanted("a whole number of 0 or more", _whole(0))
_HOUR = Wanted(
    'a time such as "22:00"',
    lambda value: isinstance(value, str) and re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", value, re.ASCII) is not None,
)

_NAMES: tuple[tuple[Wanted, str], ...] = (
    (
        _STRING,
        """apiKeyHelper proxyAuthHelper awsCredentialExport awsAuthRefresh gcpAuthRefresh processWrapper attributionProject
        model prUrlTemplate otelHeadersHelper outputStyle language advisorModel agent minimumVersion requiredMinimumVersion
        requiredMaximumVersion plansDirectory timeZone autoMemoryDirectory claudeMd pluginTrustMessage $schema
        breakReminder.message attribution.commit attribution.pr remote.defaultEnvironmentId""",
    ),
    (
        _BOOLEAN,
        """respectGitignore wslInheritsWindowsSettings includeCoAuthoredBy includeGitInstructions disableAllHooks
        disableReplyCheck workflowKeywordTriggerEnabled bashEditDiffEnabled respondToBashCommands allowAllClaudeAiMcps
        allowClaudeInChromeWithManagedMcp allowNestedModelAccessUnderForceLogin forceRemoteSettingsRefresh spinnerTipsEnabled
        clawdFileProgressEnabled syntaxHighlightingDisabled terminalTitleFromRename alwaysThinkingEnabled fastMode
        promptSuggestionEnabled emojiCompletionEnabled awaySummaryEnabled showClearContextOnPlanAccept prefersReducedMotion
        doneMeansMerged totalTokensReminderAfterUserTurn autoMemoryEnabled autoDreamEnabled showThinkingSummaries verbose
        autoCompactEnabled precomputeCompactionEnabled idleCompaction switchModelsOnFlag autoScrollEnabled
        wheelScrollAccelerationEnabled fileCheckpointingEnabled showTurnDuration showMessageTimestamps
        terminalProgressBarEnabled todoFeatureEnabled inputNeededNotifEnabled agentPushNotifEnabled voiceEnabled
        breakReminder.enabled quietHours.enabled attribution.sessionUrl permissions.blockReadsOutsideWorkingDirectories
        permissions.blockWritesOutsideWorkingDirectories permissions.denyInsteadOfPrompting statusLine.hideVimModeIndicator
        sandbox.enabled voice.enabled voice.autoSubmit remoteTools.allowUnattendedServing sandbox.filesystem.disabled""",
    ),
    (
        _or_null(_BOOLEAN),
        """syncClaudeAiSkills syncClaudeAiPlugins enforceAvailableModels enableAllProjectMcpServers disableClaudeAiConnectors
        disableBundledSkills disableDirectMcpSkills disableAgentView disableRemoteControl disableWorkflows disableArtifact
        enableArtifact enableWorkflows disableSkillShellExecution disableWindowsBashCommandSplit allowManagedHooksOnly
        allowManagedPermissionRulesOnly allowManagedMcpServersOnly disableCommandPluginSources disableSideloadFlags
        skipWebFetchPreflight fastModePerSessionOptIn responseComparisonEnabled channelsEnabled
        skipDangerousModePermissionPrompt skipWorkflowUsageWarning autoContinueAtUsageLimit remoteControlAtStartup
        isolatePeerMachines autoUploadSessions""",
    ),
    (
        _OBJECT,
        """fileSuggestion breakReminder quietHours permissions worktree statusLine sandbox spinnerVerbs remote voice remoteTools
        autoMode env modelOverrides skillOverrides enabledPlugins pluginConfigs sandbox.network sandbox.filesystem
        sandbox.credentials sandbox.windows sandbox.ripgrep""",
    ),
    (
        _TEXTS,
        """fallbackModel availableModels allowedHttpHookUrls httpHookAllowedEnvVars pluginSuggestionMarketplaces
        companyAnnouncements claudeMdExcludes permissions.additionalDirectories worktree.symlinkDirectories
        worktree.sparsePaths autoMode.allow autoMode.soft_deny autoMode.hard_deny autoMode.environment
        sandbox.network.allowedDomains sandbox.network.deniedDomains sandbox.filesystem.allowWrite
        sandbox.filesystem.denyWrite sandbox.filesystem.denyRead sandbox.filesystem.allowRead sandbox.ripgrep.args""",
    ),
    (_OBJECTS, "allowedChannelPlugins"),
    (Wanted("a list of objects with 'id', 'name' and 'sshHost'", _with("id", "name", "sshHost")), "sshConfigs"),
    (_or_null(_OBJECTS), "strictKnownMarketplaces blockedMarketplaces"),
    (
        _POSITIVE,
        """cleanupPeriodDays skillListingMaxDescChars totalTokensReminderBudget breakReminder.intervalMinutes
        breakReminder.breakThresholdMinutes""",
    ),
    (_NATURAL, "desktopSessionCleanupPeriodDays"),
    (Wanted("a number", _number), "statusLine.padding"),
    (Wanted("a number over 0, at most 1", lambda v: _number(v) and 0 < v <= 1), "skillListingBudgetFraction"),
    (Wanted("a number from 0 to 1", lambda v: _number(v) and 0 <= v <= 1), "feedbackSurveyRate"),
    (Wanted("true, false or an object", lambda v: isinstance(v, bool | dict)), "attribution"),
    (
        Wanted("a list of strings", lambda v: isinstance(v, str) or _texts(v)),
        "enabledMcpjsonServers disabledMcpjsonServers forceLoginOrgUUID",
    ),
    (Wanted("a list", lambda v: isinstance(v, list)), "permissions.allow permissions.deny permissions.ask"),
    (_HOUR, "quietHours.start quietHours.end"),
    (_STRING, "timeFormat"),
    (_one_of("unrestricted", "small", "medium", "large"), "workflowSizeGuideline"),
    (_one_of("bash", "powershell"), "defaultShell"),
    (_one_of("first-wins", "merge"), "parentSettingsBehavior managedSourcesBehavior"),
    (_one_of("notify", "quiet", "off", null=True), "feedbackDrafts"),
    (_one_of("latest", "stable", "rc"), "autoUpdatesChannel"),
    (_one_of("default", "fullscreen"), "tui"),
    (_one_of("off", "infinite", "fixed", "countdown", "padded-countdown"), "totalTokensReminder"),
    (_one_of("disable", null=True), "disableAutoMode"),
    (_one_of("disable"), "permissions.disableBypassPermissionsMode permissions.disableAutoMode"),
    (_one_of("transient", "ask"), "daemonColdStart"),
    (
        _one_of("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "plan", "manual"),
        "permissions.defaultMode",
    ),
    (_one_of("fresh", "head"), "worktree.baseRef"),
    (_one_of("hold", "tap"), "voice.mode"),
)
TYPES: Mapping[str, Wanted] = {name: wanted for wanted, names in _NAMES for name in names.split()}

# What must stand in an object that is there at all.
_COMMAND = (("type", _one_of("command")), ("command", _STRING))
_NEEDED: Mapping[str, tuple[tuple[str, Wanted], ...]] = {
    "statusLine": _COMMAND,
    "fileSuggestion": _COMMAND,
    "spinnerVerbs": (("mode", _one_of("append", "replace")), ("verbs", _TEXTS)),
    "sandbox.ripgrep": (("command", _STRING),),
}
# What every value of a map must be.
_VALUES: Mapping[str, Wanted] = {
    "modelOverrides": _STRING,
    "skillOverrides": _one_of("on", "name-only", "user-invocable-only", "off"),
    "enabledPlugins": Wanted("true, false or a list of strings", lambda v: isinstance(v, bool) or _texts(v)),
    "pluginConfigs": _OBJECT,
}
# Events whose hooks may guard something: a terminal that cannot read one drops the file rather than go without.
_GUARDS = ("PreToolUse", "PermissionRequest")


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value of the wrong type, by its path."""

    path: tuple[str, ...]
    expected: str
    value: object


def misfits(values: Mapping[str, Any]) -> Iterator[Misfit]:
    """Give every value of a settings file that is not of the type its key wants."""
    yield from _under(values, ())


def _under(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Misfit]:
    for key, value in values.items():
        path = (*above, key)
        wanted = TYPES.get(".".join(path)) if "." not in key else None
        if path == ("hooks",):
            yield from _hooks(value)
        elif wanted is not None and not wanted.fits(value):
            yield Misfit(path, wanted.expected, value)
        elif wanted is not None and isinstance(value, dict):
            yield from _inside(cast("dict[str, Any]", value), path)


def _inside(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Misfit]:
    dotted = ".".join(path)
    for name, needed in _NEEDED.get(dotted, ()):
        if not needed.fits(values.get(name)):
            yield Misfit((*path, name), needed.expected, values.get(name))
    each = _VALUES.get(dotted)
    if each is not None:
        yield from (Misfit((*path, name), each.expected, held) for name, held in values.items() if not each.fits(held))
    if dotted != "env":
        yield from _under(values, path)


def _hooks(hooks: object) -> Iterator[Misfit]:
    if not isinstance(hooks, dict):
        return
    events = cast("dict[str, object]", hooks)
    for event in _GUARDS:
        if event in events and not _objects(events[event]):
            yield Misfit(("hooks", event), "a list of objects", events[event])
