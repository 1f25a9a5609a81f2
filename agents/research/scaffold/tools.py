"""The scaffold tool, for messages and plain calls alike."""

import asyncio
import posixpath

from agents.research.jobs import Jobs
from agents.research.scaffold.messages import CreateProject, ProjectCreated
from agents.research.scaffold.project import create_project


async def create_scaffold(jobs: Jobs, request: CreateProject) -> ProjectCreated:
    made = await asyncio.to_thread(
        create_project, jobs.files, request.project_name, request.base_dir
    )
    folder = posixpath.normpath(posixpath.join(request.base_dir, request.project_name))
    return ProjectCreated(folder=folder, files=tuple(made))
