terraform {
  required_providers {
    yandex = { source = "yandex-cloud/yandex" }
  }
}
