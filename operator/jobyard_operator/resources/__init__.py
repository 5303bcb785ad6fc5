"""The custom resources of jobyard.dev/v1alpha1 as pydantic models; manifests/crds is generated from them.

A model is what the API server has let through: its rules (CEL, lengths, defaults) are in the schema, so they hold for everybody.
"""

from jobyard_operator.resources.deadjob import DeadJob
from jobyard_operator.resources.jobqueue import JobQueue
from jobyard_operator.resources.jobschedule import JobSchedule
from jobyard_operator.resources.meta import API_VERSION, GROUP, VERSION

__all__ = ["API_VERSION", "GROUP", "VERSION", "DeadJob", "JobQueue", "JobSchedule"]
