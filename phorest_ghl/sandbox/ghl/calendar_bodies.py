"""What a calendar may be told, down to its nested settings, as the vendor's specs say.

Belongs here: shapes. Does not belong here: what a setting does (`calendars.py`); most of them do nothing here.

The specs say nothing of how long a slot may be. Lengths of nothing, or longer than a year, are refused (ASSUMED).
"""

from phorest_ghl.sandbox import shapes as w

_LENGTH, _AHEAD = w.number(1, 525_600), w.number(0, 525_600)
_UNITS = w.choice("mins", "hours")
_HOURS = w.list_of(
    openHour=w.number(0, 23).needed(), openMinute=w.number(0, 60).needed(), closeHour=w.number(0, 23).needed(),
    closeMinute=w.number(0, 60).needed(),
).needed()  # fmt: skip
_PLACES = w.list_of(
    kind=w.choice(
        "custom", "zoom_conference", "google_conference", "inbound_call", "outbound_call", "physical", "booker",
        "ms_teams_conference",
    ).needed(),
    location=w.STR,
)  # fmt: skip
_DAY = {"date": w.STR.needed(), "hours": _HOURS, "deleted": w.BOOL}
_SHARED: w.Shape = {
    **dict.fromkeys(["groupId", "name", "description", "slug", "widgetSlug", "eventTitle", "eventColor"], w.STR),
    **dict.fromkeys(["meetingLocation", "alertEmail", "formId", "notes", "pixelId", "consentLabel"], w.STR),
    **dict.fromkeys(["formSubmitRedirectURL", "formSubmitThanksMessage", "calendarCoverImage"], w.STR),
    **dict.fromkeys(["slotDuration", "slotInterval"], _LENGTH),
    **dict.fromkeys(["slotBuffer", "preBuffer", "allowBookingAfter", "allowBookingFor"], _AHEAD),
    **dict.fromkeys(["appoinmentPerSlot", "appoinmentPerDay"], w.NUMBER), "availabilityType": w.choice(0, 1),
    **dict.fromkeys(["isActive", "autoConfirm", "allowReschedule", "allowCancellation", "enableRecurring"], w.BOOL),
    **dict.fromkeys(["stickyContact", "isLivePaymentMode", "googleInvitationEmails"], w.BOOL),
    **dict.fromkeys(["shouldAssignContactToTeamMember", "shouldSkipAssigningContactForExisting"], w.BOOL),
    "shouldSendAlertEmailsToAssignedMember": w.BOOL,
    **dict.fromkeys(["slotDurationUnit", "slotIntervalUnit", "preBufferUnit"], _UNITS),
    "allowBookingAfterUnit": w.choice("mins", "hours", "days", "weeks", "months"),
    "allowBookingForUnit": w.choice("days", "weeks", "months"), "widgetType": w.choice("default", "classic"),
    "guestType": w.choice("count_only", "collect_detail"),
    "formSubmitType": w.choice("RedirectURL", "ThankYouMessage"),
    "eventType": w.choice("RoundRobin_OptimizeForAvailability", "RoundRobin_OptimizeForEqualDistribution"),
    "teamMembers": w.list_of(
        userId=w.STR.needed(), priority=w.choice(0, 0.5, 1), isPrimary=w.BOOL, locationConfigurations=_PLACES,
        meetingLocation=w.STR,
        meetingLocationType=w.choice("custom", "zoom", "gmeet", "phone", "address", "teams", "booker"),
    ),
    "openHours": w.list_of(daysOfTheWeek=w.list_of_each(w.number(0, 6)).needed(), hours=_HOURS),
    "locationConfigurations": _PLACES,
    "notifications": w.list_of(
        type=w.choice("email"), selectedUsers=w.STR.needed(),
        **dict.fromkeys(["shouldSendToContact", "shouldSendToGuest"], w.BOOL.needed()),
        **dict.fromkeys(["shouldSendToUser", "shouldSendToSelectedUsers"], w.BOOL.needed()),
    ),
    "recurring": w.nested(
        freq=w.choice("DAILY", "WEEKLY", "MONTHLY"), count=w.number(0, 24),
        bookingOption=w.choice("skip", "continue", "book_next"),
        bookingOverlapDefaultStatus=w.choice("confirmed", "new"),
    ),
    "lookBusyConfig": w.nested(enabled=w.BOOL.needed(), LookBusyPercentage=w.NUMBER.needed()),
}  # fmt: skip
UPDATE: w.Shape = {**_SHARED, "availabilities": w.list_of(**_DAY, id=w.STR)}
CREATE: w.Shape = {
    **_SHARED, "availabilities": w.list_of(**_DAY), "slotBufferUnit": _UNITS,
    "name": w.STR.needed(), "locationId": w.STR.needed(),
    "calendarType": w.choice("round_robin", "event", "class_booking", "collective", "service_booking", "personal"),
}  # fmt: skip
