"""Our answers inside of moto, which reads and writes the protocol.

Owns: where moto's CloudWatch is led to `Answers`: not its seam for values
(`CloudWatchMetricProvider`) except for ListMetrics, since its arithmetic aligns periods to the
first value, forgets namespaces, wants dimensions in its own order and has no percentiles. Whatever
is not about our endpoints goes to moto as before. Must not know: what is answered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from emulator.api.cloudwatch_answers import Answers, Refused, refuse_mathematics

NEVER = datetime.min  # noqa: DTZ901  moto's times are naive
"""The time of the values by which moto lists our metrics: in no range that is asked for."""


@functools.cache
def installed() -> Answers:
    """Once per process, where moto's state is too; by one thread at a time."""
    from moto.cloudwatch.responses import CloudWatchResponse

    answers = Answers()
    response: Any = CloudWatchResponse
    response.get_metric_data = _get_metric_data(answers, response.get_metric_data)
    response.get_metric_statistics = _get_metric_statistics(answers, response.get_metric_statistics)
    response.byoc_provider = _provider(answers)  # moto finds it as long as somebody holds it
    return answers


def _get_metric_data(answers: Answers, motos: Callable[[Any], Any]) -> Callable[[Any], Any]:
    from moto.core.responses import ActionResult

    @functools.wraps(motos)
    def get_metric_data(self: Any) -> Any:
        asked = self._get_params()  # as moto's own methods get them
        queries: Sequence[dict[str, Any]] = asked.get("MetricDataQueries") or []
        descending = asked.get("ScanBy") != "TimestampAscending"
        with _AsMoto():
            results = {
                query["Id"]: result
                for query in queries
                if (
                    result := answers.data(
                        query,
                        _utc(asked["StartTime"]),
                        _utc(asked["EndTime"]),
                        descending=descending,
                    )
                )
            }
            refuse_mathematics(queries, results)
        if not results:
            return motos(self)
        theirs = self.cloudwatch_backend.get_metric_data(
            queries=[query for query in queries if query["Id"] not in results],
            start_time=asked["StartTime"],
            end_time=asked["EndTime"],
            scan_by="TimestampDescending" if descending else "TimestampAscending",
        )
        results.update({result["id"]: result for result in theirs})
        told = [
            results[query["Id"]]
            for query in queries
            if query["Id"] in results and query.get("ReturnData", True)
        ]
        return ActionResult({"MetricDataResults": told})

    return get_metric_data


def _get_metric_statistics(answers: Answers, motos: Callable[[Any], Any]) -> Callable[[Any], Any]:
    from moto.core.responses import ActionResult

    @functools.wraps(motos)
    def get_metric_statistics(self: Any) -> Any:
        asked = self._get_params()
        with _AsMoto():
            points = answers.points(asked, _utc(asked["StartTime"]), _utc(asked["EndTime"]))
        if points is None:
            return motos(self)
        return ActionResult({"Label": asked["MetricName"], "Datapoints": points})

    return get_metric_statistics


def _provider(answers: Answers) -> type:
    from moto.cloudwatch.models import MetricAggregatedDatum
    from moto.core.common_models import CloudWatchMetricProvider

    class Provider(CloudWatchMetricProvider):
        """Found by moto as a subclass."""

        @staticmethod
        def get_cloudwatch_metrics(
            account_id: str,  # noqa: ARG004  there is one account here
            region: str,  # noqa: ARG004  whatever region a caller has set
        ) -> list[Any]:
            return [
                MetricAggregatedDatum(
                    namespace=listed.metric.namespace,
                    name=listed.metric.name,
                    min_stat=0.0,
                    max_stat=0.0,
                    sample_count=0.0,
                    sum_stat=0.0,
                    dimensions=[
                        {"Name": name, "Value": value} for name, value in listed.dimensions.items()
                    ],
                    timestamp=NEVER,
                    unit=listed.metric.unit,
                )
                for listed in answers.listed()
            ]

    return Provider


class _AsMoto:
    """A refusal becomes an error that moto tells in the protocol of the request."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from moto.cloudwatch.exceptions import CloudWatchException

        if isinstance(error, Refused):
            raise CloudWatchException(*error.args) from error


def _utc(moment: datetime) -> datetime:
    """Without a zone, as moto's times are, it means UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
