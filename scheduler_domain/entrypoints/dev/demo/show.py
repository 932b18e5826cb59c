"""Creates the samples and shows what their targets receive, until it is cancelled."""

import asyncio
from contextlib import AsyncExitStack, suppress

import click

from scheduler_domain.domain.errors import SchedulerError
from scheduler_domain.entrypoints.cli.api_client import ApiClient
from scheduler_domain.entrypoints.cli.words import trigger_in_short
from scheduler_domain.entrypoints.dev.demo.delivery import ReceivedDelivery
from scheduler_domain.entrypoints.dev.demo.listeners import listening_to_http, listening_to_streams
from scheduler_domain.entrypoints.dev.demo.samples import birthdays, samples
from scheduler_domain.entrypoints.dev.demo.view import Schedule, view_for
from scheduler_domain.entrypoints.dev.process_tree import Running


async def show_deliveries(running: Running, *, as_json: bool) -> None:
    """Stay until cancelled; a sample that the API refuses is named on standard error and left out."""
    if running.token is None:
        click.echo("the demo creates schedules and needs JWT_SECRET for that, not JWKS_URL", err=True)
        return
    arrived: asyncio.Queue[ReceivedDelivery] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        nats_url = running.settings.required_nats_url()
        await stack.enter_async_context(listening_to_streams(nats_url, running.tenant, arrived.put_nowait))
        _go_on()
        http_url = await stack.enter_async_context(listening_to_http(arrived.put_nowait))
        api = stack.enter_context(ApiClient(running.url, running.token, running.tenant))
        await asyncio.to_thread(_create_samples, api, http_url, as_json)
        view = stack.enter_context(view_for(as_json=as_json))
        known: dict[str, Schedule] = {}
        while True:
            delivery = await arrived.get()
            if delivery.schedule_id not in known:
                known[delivery.schedule_id] = await asyncio.to_thread(_look_up, api, delivery.schedule_id)
            view.show(delivery, known[delivery.schedule_id])


def _go_on() -> None:
    """Raise CancelledError where this task was cancelled and did not notice: connecting to NATS swallows it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _create_samples(api: ApiClient, http_url: str, as_json: bool) -> None:
    for definition in samples(http_url):
        try:
            api.request("PUT", f"/schedules/by-key/{definition['key']}", body=definition)
        except SchedulerError as error:
            click.echo(f"{definition['name']}: {error}", err=True)
    for key, parameters in birthdays().items():
        try:
            leap_day = _create_birthday(api, key, parameters)
        except SchedulerError as error:
            click.echo(f"birthday {key}: {error}", err=True)
        else:
            if leap_day is not None and not as_json:
                click.echo(f"{parameters['firstName']} {parameters['lastName']}'s birthday: {leap_day}")


def _create_birthday(api: ApiClient, key: str, parameters: dict[str, str]) -> str | None:
    """Store a birthday; return what a preview says of one on a leap day.

    The one of an earlier demo goes first: whoever was greeted today would not be greeted again.
    """
    path = f"/templates/birthday/instances/{key}"
    with suppress(SchedulerError):
        api.request("DELETE", path)
    api.request("PUT", path, body={"parameters": parameters})
    preview = api.request("POST", "/templates/birthday/preview", body={"parameters": parameters, "count": 1})
    return next((str(note["message"]) for note in preview["notes"] if note["code"] == "leap-day"), None)


def _look_up(api: ApiClient, schedule_id: str) -> Schedule:
    """Return what the API knows of a schedule; it may be deleted by the time its last delivery arrives."""
    try:
        schedule = api.request("GET", f"/schedules/{schedule_id}")
    except SchedulerError:
        return Schedule(schedule_id, "")
    return Schedule(schedule["name"], trigger_in_short(schedule["trigger"]))
