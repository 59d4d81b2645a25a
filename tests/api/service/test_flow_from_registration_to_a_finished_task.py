"""One story, through the front door: nothing is prepared, nothing is overridden."""

from httpx import AsyncClient


async def test_a_newcomer_registers_logs_in_and_finishes_a_task(client: AsyncClient) -> None:
    password = "correct horse battery"
    registered = await client.post(
        "/api/v1/users", json={"email": "ada@example.org", "name": "Ada", "password": password}
    )
    assert registered.status_code == 201

    login = await client.post(
        "/api/v1/auth/token", data={"username": "ada@example.org", "password": password}
    )
    assert login.status_code == 200
    client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"

    me = await client.get("/api/v1/users/me")
    assert me.json() == registered.json()

    made = await client.post("/api/v1/tasks", json={"title": "Write the report", "priority": "high"})
    assert made.status_code == 201

    listed = await client.get("/api/v1/tasks", params={"status": "todo"})
    assert listed.json() == {"items": [made.json()], "next_cursor": None}

    finished = await client.patch(
        made.headers["location"], json={"status": "done"}, headers={"If-Match": made.headers["etag"]}
    )
    assert finished.json()["status"] == "done"

    assert (await client.get("/api/v1/tasks", params={"status": "todo"})).json()["items"] == []
    assert (await client.get(made.headers["location"])).json() == finished.json()

    deleted = await client.delete(made.headers["location"])
    assert deleted.status_code == 204
    assert (await client.get("/api/v1/tasks")).json() == {"items": [], "next_cursor": None}
