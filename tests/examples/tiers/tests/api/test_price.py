import shop


async def test_price(client):
    assert (await client.get("/price")).json() == "42 EUR"


async def test_an_override(client, app):
    app.dependency_overrides[shop.currency] = lambda: "USD"
    assert (await client.get("/price")).json() == "42 USD"


async def test_the_override_is_gone(client, app):
    assert app.dependency_overrides == {}


async def test_paid(client, external_http):
    external_http.post("https://payments.example.com/v1/charges").respond(200, json={"state": "paid"})
    assert (await client.post("/pay")).json() == "paid"
