# Small enough to try it out. What one should think about: README.md, "What it costs".

variable "host_size" {
  description = "The machine where steps run; with `spark = \"host\"` Spark runs there too. Memory and disk in GB."
  type = object({
    cores       = optional(number, 4)
    memory      = optional(number, 16)
    disk        = optional(number, 60)
    preemptible = optional(bool, false)
  })
  default = {}

  validation {
    condition     = contains([2, 4, 6, 8, 12, 16, 24, 32], var.host_size.cores) && var.host_size.memory >= 4 && var.host_size.disk >= 20
    error_message = "host_size: cores 2, 4, 6, 8, 12, 16, 24 or 32; memory at least 4; disk at least 20."
  }
}

variable "mlflow_size" {
  description = "The machine of the MLflow server. Memory and disk in GB."
  type = object({
    cores  = optional(number, 2)
    memory = optional(number, 4)
    disk   = optional(number, 20)
  })
  default = {}

  validation {
    condition     = contains([2, 4, 8], var.mlflow_size.cores) && var.mlflow_size.memory >= 2 && var.mlflow_size.disk >= 15
    error_message = "mlflow_size: cores 2, 4 or 8; memory at least 2; disk at least 15."
  }
}

variable "postgresql" {
  description = "The database of runs and models. One host is no high availability: take two or three in production."
  type = object({
    version = optional(string, "17")
    preset  = optional(string, "c3-c2-m4")
    disk    = optional(number, 20)
    hosts   = optional(number, 1)
    backups = optional(number, 14)
  })
  default = {}

  validation {
    condition     = contains(["14", "15", "16", "17", "18"], var.postgresql.version)
    error_message = "postgresql.version: 14 to 18."
  }

  validation {
    condition     = contains([1, 2, 3], var.postgresql.hosts) && var.postgresql.disk >= 10 && var.postgresql.backups >= 7 && var.postgresql.backups <= 60
    error_message = "postgresql: hosts 1 to 3, disk at least 10 GB, backups kept 7 to 60 days."
  }
}

variable "airflow" {
  description = "Versions and sizes of Managed Airflow. Which versions are offered changes: the console lists them."
  type = object({
    version = optional(string, "3.2")
    python  = optional(string, "3.12")
    preset  = optional(string, "c1-m4")
    workers = optional(number, 2)
  })
  default = {}

  validation {
    condition     = can(regex("^3\\.([2-9]|[1-9][0-9]+)$", var.airflow.version))
    error_message = "airflow.version: 3.2 or a newer 3.x; the DAGs need it."
  }

  validation {
    condition     = can(regex("^c[1-8]-m[0-9]+$", var.airflow.preset)) && var.airflow.workers >= 1 && var.airflow.workers <= 8
    error_message = "airflow: preset c1-m2 to c8-m32, workers 1 to 8."
  }
}

variable "dataproc" {
  description = "Data Processing, if `spark` is `dataproc` or `transient`; `master_host` is for the permanent one (README.md)."
  type = object({
    image         = optional(string, "2.1")
    master_preset = optional(string, "s3-c4-m16")
    worker_preset = optional(string, "s3-c4-m16")
    workers       = optional(number, 2)
    disk          = optional(number, 60)
    master_host   = optional(string, "")
  })
  default = {}

  validation {
    condition     = can(regex("^2\\.[0-9]+(\\.[0-9]+)?$", var.dataproc.image)) && var.dataproc.workers >= 1 && var.dataproc.disk >= 40
    error_message = "dataproc: image 2.x, at least one worker, disks of at least 40 GB."
  }

  # Executors are sized by it.
  validation {
    condition     = can(regex("^[a-z0-9]+-c[0-9]+-m[0-9]+$", var.dataproc.worker_preset))
    error_message = "dataproc.worker_preset: as s3-c4-m16, with its cores and memory in the name."
  }
}

variable "managed_spark" {
  description = "Managed Spark, if `spark` is `managed`: version and sizes of drivers and executors."
  type = object({
    version       = optional(string, "3.5")
    preset        = optional(string, "c4-m16")
    max_executors = optional(number, 4)
  })
  default = {}

  validation {
    condition     = var.managed_spark.max_executors >= 1
    error_message = "managed_spark.max_executors: at least 1."
  }
}
