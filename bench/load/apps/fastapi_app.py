import itertools
import os

import routes
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

app = FastAPI(openapi_url=None)
ids = itertools.count(1)


class UserIn(BaseModel):
    name: str = Field(min_length=1)
    email: str = Field(min_length=1)


class User(UserIn):
    id: str


@app.get("/healthz", response_class=PlainTextResponse)
async def healthz():
    return PlainTextResponse("ok")


@app.get("/users/{uid}")
async def get_user(uid: str) -> User:
    return User(id=uid, name=f"User {uid}", email=f"user{uid}@example.com")


@app.post("/users", status_code=201)
async def create_user(user: UserIn) -> User:
    return User(id=str(next(ids)), name=user.name, email=user.email)


async def thing():
    return PlainTextResponse("ok")


async def thing_by_id(uid: str):
    return PlainTextResponse(uid)


for path in routes.table("{uid}"):
    app.get(path, response_class=PlainTextResponse)(thing_by_id if path.endswith("{uid}") else thing)
app.mount("/files", StaticFiles(directory=os.environ["STATIC_DIR"]))
